import type { NextFunction, Response } from 'express';
import { FACE_ERRORS } from '../errors';
import type { AppRequest } from '../http/request-id';
import type { FaceMetrics } from './face-metrics';

/** Route of what was answered before one was reached: unknown addresses, and requests that a middleware refused. */
const UNMATCHED = 'unmatched';

/** Middleware after the request id: it sees what other middleware refuses, which no interceptor of a Nest module does. */
export function measureHttp(metrics: FaceMetrics) {
  return (request: AppRequest, response: Response, next: NextFunction): void => {
    let isAnswered = false;
    // An answer to a client that has left during the upload finishes as well: nobody reads it.
    response.once('finish', () => (isAnswered = !request.socket.destroyed));
    // Comes once, whether the answer was sent or the client left.
    response.once('close', () => {
      const { path } = (request.route ?? {}) as { path?: string };
      metrics.observeHttp({
        method: request.method,
        route: path ?? UNMATCHED,
        status: isAnswered ? response.statusCode : FACE_ERRORS.REQUEST_ABORTED.status,
        durationMs: performance.now() - request.startedAt,
      });
    });
    next();
  };
}
