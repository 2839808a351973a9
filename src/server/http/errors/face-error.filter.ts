import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { type Observable, throwError } from 'rxjs';
import { FaceError } from '../../../errors';
import { logServerError, retryAfterOf, toFaceError } from './to-face-error';

/** What responses of Express and replies of Fastify have in common. */
interface HttpResponse {
  /** Express. */
  headersSent?: boolean;
  /** Fastify. */
  sent?: boolean;
  status(status: number): this;
  header(name: string, value: string): this;
  send(body: object): unknown;
}

/**
 * Exception filter for the controllers of a Nest app, on Express and Fastify: answers a {@link FaceError} with its HTTP
 * status and `{ error: { code, message, details } }`, and with Retry-After where a later request can succeed. Without it,
 * Nest answers 500.
 *
 * Other exceptions are left to the other filters of the app. So are errors outside HTTP, such as those of microservices.
 *
 * @example
 * // In a module, for all controllers of the app:
 * providers: [{ provide: APP_FILTER, useClass: FaceErrorFilter }]
 * // Or in main.ts:
 * app.useGlobalFilters(new FaceErrorFilter());
 *
 * @publicApi
 */
@Catch(FaceError)
export class FaceErrorFilter implements ExceptionFilter<FaceError> {
  /**
   * Answers the request, or passes the error on outside HTTP.
   *
   * @example
   * // A photo without a face: 422
   * // { "error": { "code": "FACE_NOT_DETECTED", "message": "No face was found in the image.", "details": { "field": "probe" } } }
   */
  catch(thrown: FaceError, host: ArgumentsHost): Observable<never> | void {
    // A microservice takes errors from an Observable: one that is thrown here would end the process.
    if (host.getType() === 'rpc') return throwError(() => thrown);
    if (host.getType() !== 'http') throw thrown;
    const error = toFaceError(thrown);
    logServerError(error);
    const response = host.switchToHttp().getResponse<HttpResponse>();
    if (response.headersSent || response.sent) return;
    const retryAfter = retryAfterOf(error);
    if (retryAfter != null) response.header('Retry-After', retryAfter);
    const { code, message, details, status } = error;
    response.status(status).send({ error: { code, message, details } });
  }
}
