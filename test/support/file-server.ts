import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './self-signed';

/** How one request is answered. */
export type Behavior = (
  response: ServerResponse,
  file: Buffer,
  request: IncomingMessage,
  server: Pick<FileServer, 'reached'>,
) => void;

/** A server with one file under every path, which misbehaves on demand. */
export interface FileServer {
  /** With a slash at its end. */
  url: string;
  file: Buffer;
  etag: string;
  /** Used up one by one; afterwards requests are answered as they should be. */
  next: Behavior[];
  /** What was asked for so far: path and Range. */
  requests: { path: string; range: string | undefined }[];
  /** Called with the bytes that the client has, for what happens only then. */
  reached(count: number): void;
  stop(): Promise<void>;
}

export async function startFileServer(file: Buffer, certificate?: Certificate): Promise<FileServer> {
  const state = {
    file,
    etag: '"one"',
    next: [] as Behavior[],
    requests: [] as FileServer['requests'],
    reached: (_count: number) => undefined as void,
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    response.on('error', () => undefined);
    state.requests.push({ path: String(request.url), range: request.headers.range });
    const behave = state.next.shift() ?? honest(state.etag);
    behave(response, state.file, request, state);
  };
  const server = certificate == null ? createServer(listener) : createTlsServer(certificate, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `${certificate == null ? 'http' : 'https'}://127.0.0.1:${port}/`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

/** Honors Range where If-Range is of this file. */
export function honest(etag: string): Behavior {
  return (response, file, { headers }) => {
    const from =
      headers['if-range'] === etag ? Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0) : 0;
    if (from === 0) response.writeHead(200, { etag, 'content-length': file.length }).end(file);
    else if (from >= file.length)
      response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
    else sendFrom(response, file, etag, from, `bytes ${from}-${file.length - 1}/${file.length}`);
  };
}

/** Answers 206 with what it says, which need not be what was asked for. */
export function partial(etag: string, from: number, contentRange: string): Behavior {
  return (response, file) => sendFrom(response, file, etag, from, contentRange);
}

function sendFrom(
  response: ServerResponse,
  file: Buffer,
  etag: string,
  from: number,
  contentRange: string,
): void {
  const headers = { etag, 'content-range': contentRange, 'content-length': file.length - from };
  response.writeHead(206, headers).end(file.subarray(from));
}

/**
 * Promises the whole file and sends so many bytes of it. Then it sends nothing more, or resets the connection once the
 * client has them: a reset takes along what is still on its way.
 */
export function first(count: number, then: 'reset' | 'stall', etag: string | null = '"one"'): Behavior {
  return (response, file, _request, server) => {
    response.writeHead(200, { ...(etag == null ? {} : { etag }), 'content-length': file.length });
    response.write(file.subarray(0, count));
    if (then === 'reset') {
      server.reached = (received) => {
        if (received === count) response.socket?.resetAndDestroy();
      };
    }
  };
}

/** Sends the file, or what it is given, with a Content-Length of its own making. */
export function withLength(length: number, content?: Buffer): Behavior {
  return (response, file) => {
    const body = content ?? file;
    response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n`);
    response.socket?.end(body);
  };
}

/** Sends the beginning of the file, of no stated length, and ends as if that were all. */
export function unannounced(count: number): Behavior {
  return (response, file) => {
    response.socket?.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    response.socket?.end(file.subarray(0, count));
  };
}

/** Sends for as long as anyone listens. */
export const endless: Behavior = (response) => {
  response.writeHead(200);
  const chunk = Buffer.alloc(65_536);
  const send = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', send);
  send();
};

export function status(code: number, headers: Record<string, string> = {}): Behavior {
  return (response) => response.writeHead(code, headers).end('no');
}
