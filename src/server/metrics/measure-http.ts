import type { NextFunction, Response } from 'express';
import { FACE_ERRORS, type FaceErrorCode } from '../../errors';
import type { AppRequest } from '../http/request/request-id';

/** Route of requests that reach none: unknown URLs, and those that a middleware refuses. */
export const UNMATCHED = 'unmatched';

/** Methods by name; a client may send any word. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** One finished request. */
export interface HttpEvent {
  requestId: string;
  method: string;
  /** Route pattern: a raw URL would create a series for every URL that anybody tries. */
  route: string;
  /** 499 if the client disconnected before the response. */
  status: number;
  /** Code of the error response; `null` on success. */
  code: FaceErrorCode | null;
  /** Name of its API key; `null` without one. */
  key: string | null;
  durationMs: number;
  /** Milliseconds per stage of its images. */
  timings?: Readonly<Record<string, number>>;
}

/** Called when a request has finished. */
export type HttpObserver = (event: HttpEvent, request: AppRequest) => void;

/**
 * Middleware that measures every request. It runs after the request id and before everything that may refuse a request, which no
 * middleware or interceptor of a Nest module can see.
 */
export function measureHttp(...observers: readonly HttpObserver[]) {
  return (request: AppRequest, response: Response, next: NextFunction): void => {
    let isAnswered = false;
    // A response to a client that disconnected during the upload finishes as well.
    response.once('finish', () => (isAnswered = !request.socket.destroyed));
    // Fires once, whether the response was sent or the client disconnected.
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
