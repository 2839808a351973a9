import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import type { ApiKey } from '../auth/api-key';
import type { PeopleRequest } from '../../audit/audited-person';
import type { FaceError, FaceErrorCode } from '../../../errors';

/** A request that {@link requestId} has seen: every request of the service. */
export interface AppRequest extends Request, PeopleRequest {
  requestId: string;
  /** `performance.now()` at the arrival of the headers. */
  startedAt: number;
  /** The key that it has brought; none where keys are not asked for. */
  apiKey?: ApiKey;
  /** The dialect that the route speaks; absent for our own. */
  dialect?: 'deepface';
  /** Of the error that it was answered with. */
  errorCode?: FaceErrorCode;
  /** Milliseconds per stage of its images. */
  timings?: Readonly<Record<string, number>>;
  /** What became of it is in the audit stream. */
  isAudited?: boolean;
  /** How the route words its errors, where it speaks another dialect than ours. */
  errorAnswer?: (error: FaceError) => { status: number; body: object };
}

const SANE_REQUEST_ID = /^[\w.:-]{1,128}$/;

/** First middleware: names the request, in the caller's words where they are safe to log, and says the name in every answer. */
export function requestId(request: Request, response: Response, next: NextFunction): void {
  const given = request.get('x-request-id');
  const id = given != null && SANE_REQUEST_ID.test(given) ? given : randomUUID();
  Object.assign(request, { requestId: id, startedAt: performance.now() });
  response.setHeader('x-request-id', id);
  next();
}

/** Parameter of a controller method: the request's id. */
export const RequestId = createParamDecorator(
  (_data: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<AppRequest>().requestId,
);
