import type { NextFunction, Response } from 'express';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { FaceError } from '../../../errors';
import { isHealth } from './browsers';
import type { AppRequest } from './request-id';

/** Maximum number of connections: each costs memory before any byte is read. */
const MAX_CONNECTIONS = 4096;
/** Maximum number of connections over the cap that get an error response; further ones are closed without one. */
const MAX_REFUSED = 512;
/** Idle timeout of a connection over the cap. */
const MAX_SILENCE_MS = 2000;
const RETRY_AFTER_SECONDS = 2;

/**
 * Middleware that rejects requests on connections over the cap with QUEUE_FULL and closes the connection. Health checks
 * are still served.
 *
 * Node's `maxConnections` closes connections without a response, so it is higher.
 */
export function capConnections(server: Server, max = MAX_CONNECTIONS) {
  const refused = new WeakSet<Socket>();
  let count = 0;
  server.maxConnections = max + MAX_REFUSED;
  server.on('connection', (socket: Socket) => {
    count++;
    socket.once('close', () => count--);
    if (count <= max) return;
    refused.add(socket);
    // Without a listener, the server closes a connection at its timeout.
    socket.setTimeout(MAX_SILENCE_MS);
  });
  return (request: AppRequest, response: Response, next: NextFunction): void => {
    if (!refused.has(request.socket)) return next();
    response.setHeader('Connection', 'close');
    if (isHealth(request)) return next();
    const details = { retryAfterSeconds: RETRY_AFTER_SECONDS };
    next(new FaceError('QUEUE_FULL', 'The maximum number of connections is reached.', details));
  };
}
