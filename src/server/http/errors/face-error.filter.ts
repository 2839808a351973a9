import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { Response } from 'express';
import { answerEarly, isArriving } from '../request/answer-early';
import { ErrorEnvelopeDto } from './error.dto';
import type { AppRequest } from '../request/request-id';
import { setServerTiming } from '../request/server-timing';
import { logServerError, toFaceError } from './to-face-error';

/** Default of Retry-After in seconds. */
const RETRY_AFTER_SECONDS = 1;

/** The only exception filter: converts every error to an {@link ErrorEnvelopeDto}, or to the format of its dialect. */
@Catch()
export class FaceErrorFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<AppRequest>();
    const response = host.switchToHttp().getResponse<Response>();
    const error = toFaceError(thrown);
    request.errorCode = error.code;
    logServerError(error, request.requestId);
    if (response.headersSent || response.closed) return;
    const { retryAfterSeconds = error.status > 500 ? RETRY_AFTER_SECONDS : undefined } = error.details;
    if (retryAfterSeconds != null) response.setHeader('Retry-After', String(retryAfterSeconds));
    // Required for a 401 (RFC 9110, 15.5.2).
    if (error.status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="likeness"');
    if (request.method === 'POST') setServerTiming(request, response, []);
    const { status, body } = request.errorAnswer?.(error) ?? {
      status: error.status,
      body: ErrorEnvelopeDto.from(error, request.requestId),
    };
    if (isArriving(request)) answerEarly(request, response, status, body);
    else response.status(status).json(body);
  }
}
