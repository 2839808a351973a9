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
 * Interceptor around those of every route: what the request did, or why it failed, goes into the audit stream. Only what
 * hides distances from the caller is farther out.
 */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(private readonly trail: AuditTrail) {}

  /** @throws {FaceError} AUDIT_FAILED where the stream cannot be written, and the operator wants nothing done without it. */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<AppRequest>();
    const { path } = request.route as { path: string };
    const route = this.trail.isOn ? auditedRouteOf(request.method, path) : null;
    if (route == null) return next.handle();
    if (this.trail.isRefusing) {
      throw new FaceError('AUDIT_FAILED', 'The audit stream cannot be written; nothing was done.');
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
    // The action was done: it is in the stream, if without its details, and its caller gets the answer.
    logger.error('what an answer says of people could not be read', (error as Error).stack);
    return [{ outcome: 'ok' }];
  }
}
