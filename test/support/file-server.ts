import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './self-signed';

/** How one request is answered. */
export type Behaviour = (response: ServerResponse, file: Buffer, request: IncomingMessage) => void;

/** A server with one file under every path, which misbehaves as it is told to. */
export interface FileServer {
  /** With a slash at its end. */
  url: string;
  file: Buffer;
  etag: string;
  /** Used up one by one; afterwards requests are answered as they should be. */
  next: Behaviour[];
  /** What was asked for so far: path and Range. */
  requests: { path: string; range: string | undefined }[];
  stop(): Promise<void>;
}

export async function startFileServer(file: Buffer, certificate?: Certificate): Promise<FileServer> {
  const state = { file, etag: '"one"', next: [] as Behaviour[], requests: [] as FileServer['requests'] };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    response.on('error', () => undefined);
    state.requests.push({ path: String(request.url), range: request.headers.range });
    const behave = state.next.shift() ?? honest(state.etag);
    behave(response, state.file, request);
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

/** Honours Range where If-Range is of this file. */
export function honest(etag: string): Behaviour {
  return (response, file, { headers }) => {
    const from =
      headers['if-range'] === etag ? Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0) : 0;
    if (from === 0) response.writeHead(200, { etag, 'content-length': file.length }).end(file);
    else if (from >= file.length)
      response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
    else
      partial(etag, from, `bytes ${from}-${file.length - 1}/${file.length}`)(
        response,
        file,
        {} as IncomingMessage,
      );
  };
}

/** Answers 206 with what it says, which need not be what was asked for. */
export function partial(etag: string, from: number, contentRange: string): Behaviour {
  return (response, file) => {
    const headers = { etag, 'content-range': contentRange, 'content-length': file.length - from };
    response.writeHead(206, headers).end(file.subarray(from));
  };
}

/** Promises the whole file, sends so many bytes of it, and then does as it is told. */
export function first(count: number, then: 'reset' | 'stall', etag = '"one"'): Behaviour {
  return (response, file) => {
    response.writeHead(200, { etag, 'content-length': file.length });
    response.write(file.subarray(0, count), () => {
      if (then === 'reset') response.socket?.resetAndDestroy();
    });
  };
}

/** Sends the file, or what it is given, with a Content-Length of its own making. */
export function withLength(length: number, content?: Buffer): Behaviour {
  return (response, file) => {
    const body = content ?? file;
    response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n`);
    response.socket?.end(body);
  };
}

/** Sends the beginning of the file, of no stated length, and ends as if that were all. */
export function unannounced(count: number): Behaviour {
  return (response, file) => {
    response.socket?.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    response.socket?.end(file.subarray(0, count));
  };
}

/** Sends for as long as anyone listens. */
export const endless: Behaviour = (response) => {
  response.writeHead(200);
  const chunk = Buffer.alloc(65_536);
  const send = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', send);
  send();
};

export function status(code: number, headers: Record<string, string> = {}): Behaviour {
  return (response) => response.writeHead(code, headers).end('no');
}
