import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { FaceCallOptions } from '../../../face/face-model';
import { callerOf } from './caller';
import type { AppRequest } from './request-id';
import { invalidParameters } from './validation';

/** Header by which a caller sets its own deadline. */
const TIMEOUT_HEADER = 'x-request-timeout-ms';

/**
 * Parameter of a controller method: how long the work may take, and for whom it is. `signal` aborts when the client
 * leaves before the answer, `timeoutMs` is the caller's own deadline, `caller` whom it counts for ({@link callerOf}).
 */
export const RequestLimits = createParamDecorator(
  (_data: undefined, context: ExecutionContext): RequestLimits => {
    const request = context.switchToHttp().getRequest<AppRequest>();
    const response = context.switchToHttp().getResponse<Response>();
    return { signal: clientLeft(response), timeoutMs: timeoutOf(request), caller: callerOf(request) };
  },
);
export type RequestLimits = Pick<FaceCallOptions, 'signal' | 'timeoutMs' | 'caller'>;

/** Aborts when the client leaves before the answer. */
export function clientLeft(response: Response): AbortSignal {
  const controller = new AbortController();
  const abortUnanswered = () => {
    if (!response.writableEnded) controller.abort();
  };
  // A client that left during the upload has closed the response already: the event would never come.
  if (response.closed) abortUnanswered();
  else response.once('close', abortUnanswered);
  return controller.signal;
}

/** The caller's own deadline in milliseconds, where it sets one. @throws {FaceError} PARAMETER_INVALID */
export function timeoutOf(request: Request): number | undefined {
  const value = request.get(TIMEOUT_HEADER);
  if (value === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(value)) {
    throw invalidParameters({ [TIMEOUT_HEADER]: 'must be a whole number of milliseconds above 0' });
  }
  return Number(value);
}
