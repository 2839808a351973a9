import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  Logger,
  type NestInterceptor,
} from '@nestjs/common';
import { type Observable, tap } from 'rxjs';
import { FaceError } from '../../errors';
import type { AppRequest } from '../http/request/request-id';
import { toFaceError } from '../http/errors/to-face-error';
import { type AuditedRoute, auditedRouteOf } from './audit-routes';
import { AuditTrail } from './audit-trail';
import type { AuditedPerson } from './audited-person';

const logger = new Logger('Audit');

/**
 * Records the result or the failure of each request in the audit stream, where that is on. Runs outside all route interceptors, but
 * inside the one that hides distances from the caller.
 */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(private readonly trail: AuditTrail) {}

  /** @throws {FaceError} AUDIT_FAILED if the stream cannot be written and the settings require it. */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<AppRequest>();
    const { path } = request.route as { path: string };
    const route = auditedRouteOf(request.method, path);
    if (route == null) return next.handle();
    if (this.trail.isRefusing) {
      throw new FaceError(
        'AUDIT_FAILED',
        'The audit stream cannot be written, so the request was not processed.',
      );
    }
    request.isAudited = true;
    return next.handle().pipe(
      tap({
        next: (answer) => this.trail.record(request, route.action, peopleOf(route, answer, request)),
        error: (thrown) => {
          this.trail.record(request, route.action, request.people ?? []);
          this.trail.recordError(request, route.action, toFaceError(thrown));
        },
      }),
    );
  }
}

function peopleOf(route: AuditedRoute, answer: unknown, request: AppRequest): AuditedPerson[] {
  const { people } = request;
  if (people != null) return people.length > 0 ? people : [{ outcome: 'ok' }];
  try {
    return route.people(answer, request);
  } catch (error) {
    // The action is done: it is recorded without its details, and the caller gets the response.
    logger.error('the people in a response could not be determined', (error as Error).stack);
    return [{ outcome: 'ok' }];
  }
}
