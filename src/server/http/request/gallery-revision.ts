import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { Response } from 'express';
import { type Observable, tap } from 'rxjs';
import { FaceError } from '../../../errors';
import { GalleryStore } from '../../../gallery/stores/gallery-store';
import type { AppRequest } from './request-id';
import { timeoutOf } from './request-limits';
import { invalidParameters } from './validation';

/** Request header: the answer must know of every change up to this revision. */
export const MIN_REVISION_HEADER = 'x-likeness-min-revision';
/** Answer header: the replica had made every change up to this revision. */
export const REVISION_HEADER = 'x-likeness-revision';
/** Answer header: whole seconds for which the replica may have lacked changes of others. */
export const STALE_HEADER = 'x-likeness-stale';

/** Both, as OpenAPI has them. */
export const REVISION_HEADERS = {
  [REVISION_HEADER]: {
    schema: { type: 'integer' as const },
    description:
      'Every change up to it is known to the replica that answers; errors have it too. Absent where the store has no replicas',
  },
  [STALE_HEADER]: {
    schema: { type: 'integer' as const },
    description:
      'Only while the servers of the galleries are not reached: seconds for which changes of others may be missing',
  },
};

/** Longest that a request waits for its revision: others are a few milliseconds behind, or the servers are away. */
const MAX_WAIT_MS = 5000;

/**
 * Routes of galleries, all of a controller or one: their answers say how far this replica has read the changes of all, and a
 * request may wait until it has read a revision. Stores without replicas have no revisions: no header is set, and none is read.
 */
export function GalleryRoutes(): ClassDecorator & MethodDecorator {
  return applyDecorators(
    UseInterceptors(GalleryRevisionInterceptor),
    ApiHeader({
      name: MIN_REVISION_HEADER,
      required: false,
      schema: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      description:
        `\`${REVISION_HEADER}\` of an earlier answer, of any replica: this one waits until it has read as much, 5 seconds at most. ` +
        'Not read where the store has no replicas.',
    }),
  );
}

@Injectable()
class GalleryRevisionInterceptor implements NestInterceptor {
  constructor(private readonly store: GalleryStore) {}

  /** @throws {FaceError} PARAMETER_INVALID; GALLERY_REVISION_PENDING */
  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (this.store.revision === null) return next.handle();
    const request = context.switchToHttp().getRequest<AppRequest>();
    const response = context.switchToHttp().getResponse<Response>();
    try {
      await this.waitForRevision(request);
    } finally {
      // A stream begins its answer before it has ended.
      this.setHeaders(response);
    }
    const setHeaders = () => this.setHeaders(response);
    return next.handle().pipe(tap({ next: setHeaders, error: setHeaders }));
  }

  private async waitForRevision(request: AppRequest): Promise<void> {
    const given = request.get(MIN_REVISION_HEADER);
    if (given === undefined) return;
    const minRevision = Number(given);
    if (!/^\d+$/.test(given) || !Number.isSafeInteger(minRevision)) {
      throw invalidParameters({ [MIN_REVISION_HEADER]: 'must be a whole number, 0 or more' });
    }
    const timeoutMs = Math.min(timeoutOf(request) ?? MAX_WAIT_MS, MAX_WAIT_MS);
    if (await this.store.waitFor(minRevision, timeoutMs)) return;
    throw new FaceError(
      'GALLERY_REVISION_PENDING',
      `This replica has not read revision ${minRevision} of the galleries yet; nothing was done.`,
      { minRevision, revision: this.store.revision },
    );
  }

  private setHeaders(response: Response): void {
    if (response.headersSent) return;
    const { revision, staleSince } = this.store;
    response.setHeader(REVISION_HEADER, String(revision));
    if (staleSince === null) response.removeHeader(STALE_HEADER);
    else response.setHeader(STALE_HEADER, String(Math.max(0, Math.floor((Date.now() - staleSince) / 1000))));
  }
}
