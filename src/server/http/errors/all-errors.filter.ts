import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { Response } from 'express';
import { answerEarly, isArriving } from '../request/answer-early';
import { ErrorEnvelopeDto } from './error.dto';
import type { AppRequest } from '../request/request-id';
import { setServerTiming } from '../request/server-timing';
import { logServerError, retryAfterOf, toFaceError } from './to-face-error';

/**
 * The only exception filter of the service: converts every error to an {@link ErrorEnvelopeDto}, or to the format of its
 * dialect. Other apps use `FaceErrorFilter`.
 */
@Catch()
export class AllErrorsFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<AppRequest>();
    const response = host.switchToHttp().getResponse<Response>();
    const error = toFaceError(thrown);
    request.errorCode = error.code;
    logServerError(error, request.requestId);
    if (response.headersSent || response.closed) return;
    const retryAfter = retryAfterOf(error);
    if (retryAfter != null) response.setHeader('Retry-After', retryAfter);
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
