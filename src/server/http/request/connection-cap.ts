import type { NextFunction, Response } from 'express';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { FaceError } from '../../../errors';
import { isHealth } from './browsers';
import type { AppRequest } from './request-id';

/** Connections that are served: each costs memory before a byte of it is read. */
const MAX_CONNECTIONS = 4096;
/** Connections over the cap that are told so, at the same time; further ones are closed unanswered. */
const MAX_REFUSED = 512;
/** How long a connection over the cap may be silent. */
const MAX_SILENCE_MS = 2000;
const RETRY_AFTER_SECONDS = 2;

/**
 * Middleware that refuses requests on connections over the cap with QUEUE_FULL and closes the connection. Health checks are
 * answered there too.
 *
 * Node's own `maxConnections` closes connections without an answer, so it lies higher.
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
    // Without a listener of its own, the server ends a connection at its timeout.
    socket.setTimeout(MAX_SILENCE_MS);
  });
  return (request: AppRequest, response: Response, next: NextFunction): void => {
    if (!refused.has(request.socket)) return next();
    response.setHeader('Connection', 'close');
    if (isHealth(request)) return next();
    const details = { retryAfterSeconds: RETRY_AFTER_SECONDS };
    next(new FaceError('QUEUE_FULL', 'The service has the maximum number of connections.', details));
  };
}
