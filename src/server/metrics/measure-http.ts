import type { NextFunction, Response } from 'express';
import { FACE_ERRORS, type FaceErrorCode } from '../../errors';
import type { AppRequest } from '../http/request/request-id';

/** Route of what was answered before one was reached: unknown addresses, and requests that a middleware refused. */
export const UNMATCHED = 'unmatched';

/** Methods by name; a client may send any word. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** One request of the server, when it has ended. */
export interface HttpEvent {
  requestId: string;
  method: string;
  /** Pattern of the route: a raw URL would make a series of every address that anybody tries. */
  route: string;
  /** 499 where the client left before the answer. */
  status: number;
  /** Of the error that it was answered with; `null` without one. */
  code: FaceErrorCode | null;
  /** Name of its API key; `null` without one. */
  key: string | null;
  durationMs: number;
  /** Milliseconds per stage of its images. */
  timings?: Readonly<Record<string, number>>;
}

/** Takes every request when it has ended. */
export type HttpObserver = (event: HttpEvent, request: AppRequest) => void;

/**
 * Middleware after the request id and before all that may refuse a request: it sees what they refuse, which no middleware
 * or interceptor of a Nest module does.
 */
export function measureHttp(...observers: readonly HttpObserver[]) {
  return (request: AppRequest, response: Response, next: NextFunction): void => {
    let isAnswered = false;
    // An answer to a client that has left during the upload finishes as well: nobody reads it.
    response.once('finish', () => (isAnswered = !request.socket.destroyed));
    // Comes once, whether the answer was sent or the client left.
    response.once('close', () => {
      const { path } = (request.route ?? {}) as { path?: string };
      const event: HttpEvent = {
        requestId: request.requestId,
        method: METHODS.includes(request.method) ? request.method : 'other',
        route: path ?? UNMATCHED,
        status: isAnswered ? response.statusCode : FACE_ERRORS.REQUEST_ABORTED.status,
        code: isAnswered ? (request.errorCode ?? null) : 'REQUEST_ABORTED',
        key: request.apiKey?.name ?? null,
        durationMs: performance.now() - request.startedAt,
        timings: request.timings,
      };
      for (const observe of observers) observe(event, request);
    });
    next();
  };
}
