import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import type { ApiKey } from '../auth/api-key';
import type { PeopleRequest } from '../../audit/audited-person';
import type { FaceError, FaceErrorCode } from '../../../errors';

/** A request after {@link requestId}, which runs for every request. */
export interface AppRequest extends Request, PeopleRequest {
  requestId: string;
  /** `performance.now()` at the arrival of the headers. */
  startedAt: number;
  /** The key of the request; absent if keys are not required. */
  apiKey?: ApiKey;
  /** Dialect of the route; absent for /v1. */
  dialect?: 'deepface';
  /** Code of the error response. */
  errorCode?: FaceErrorCode;
  /** Milliseconds per stage of its images. */
  timings?: Readonly<Record<string, number>>;
  /** Whether the result is recorded in the audit stream. */
  isAudited?: boolean;
  /** Formats errors in the dialect of the route. */
  errorAnswer?: (error: FaceError) => { status: number; body: object };
}

const SANE_REQUEST_ID = /^[\w.:-]{1,128}$/;

/**
 * First middleware: sets the request id, taken from the caller if it is safe to log, and returns it in every response.
 */
export function requestId(request: Request, response: Response, next: NextFunction): void {
  const given = request.get('x-request-id');
  const id = given != null && SANE_REQUEST_ID.test(given) ? given : randomUUID();
  Object.assign(request, { requestId: id, startedAt: performance.now() });
  response.setHeader('x-request-id', id);
  next();
}

/** Parameter of a controller method: the request id. */
export const RequestId = createParamDecorator(
  (_data: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<AppRequest>().requestId,
);
