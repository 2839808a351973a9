import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { FaceCallOptions } from '../../../face/face-model';
import { callerOf } from './caller';
import type { AppRequest } from './request-id';
import { invalidParameters } from './validation';

/** Header by which a caller sets its own deadline. */
const TIMEOUT_HEADER = 'x-request-timeout-ms';

/**
 * Parameter of a controller method: limits of the work. `signal` aborts if the client disconnects before the response,
 * `timeoutMs` is the caller's own deadline, `caller` the caller that it counts for ({@link callerOf}).
 */
export const RequestLimits = createParamDecorator(
  (_data: undefined, context: ExecutionContext): RequestLimits => {
    const request = context.switchToHttp().getRequest<AppRequest>();
    const response = context.switchToHttp().getResponse<Response>();
    return { signal: clientLeft(response), timeoutMs: timeoutOf(request), caller: callerOf(request) };
  },
);
export type RequestLimits = Pick<FaceCallOptions, 'signal' | 'timeoutMs' | 'caller'>;

/** Signal that aborts if the client disconnects before the response. */
export function clientLeft(response: Response): AbortSignal {
  const controller = new AbortController();
  const abortUnanswered = () => {
    if (!response.writableEnded) controller.abort();
  };
  // If the client disconnected during the upload, the response is already closed and emits no event.
  if (response.closed) abortUnanswered();
  else response.once('close', abortUnanswered);
  return controller.signal;
}

/** The caller's own deadline in milliseconds, if set. @throws {FaceError} PARAMETER_INVALID */
export function timeoutOf(request: Request): number | undefined {
  const value = request.get(TIMEOUT_HEADER);
  if (value === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(value)) {
    throw invalidParameters({ [TIMEOUT_HEADER]: 'must be a positive integer, in milliseconds' });
  }
  return Number(value);
}
