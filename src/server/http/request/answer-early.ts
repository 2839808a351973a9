import type { Response } from 'express';
import { hasBody, MAX_REST_BYTES } from '../images/body-reader';
import type { AppRequest } from './request-id';

/** Time for the rest of a body to arrive. */
const LINGER_MS = 1000;

/** Whether the body of a request is still arriving. */
export function isArriving(request: AppRequest): boolean {
  return hasBody(request) && !request.complete && !request.destroyed;
}

/**
 * Responds while the body is still arriving. The response is sent at once and the connection is closed a little later:
 * a client that is still writing when it closes would get a connection reset instead of the response.
 */
export function answerEarly(request: AppRequest, response: Response, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  const announced = Number(request.headers['content-length'] ?? Infinity);
  const isLong = announced > MAX_REST_BYTES || status === 408;
  if (isLong) response.setHeader('Connection', 'close');
  response.status(status).type('json').setHeader('Content-Length', bytes.length);
  response.write(bytes);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(() => {
    response.once('finish', () => request.socket.destroySoon());
    end();
  }, LINGER_MS);
  request.once('end', end).once('close', end);
  request.resume();
}
