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

/** Request header: the response must include every change up to this revision. */
export const MIN_REVISION_HEADER = 'x-likeness-min-revision';
/** Response header: the replica has applied every change up to this revision. */
export const REVISION_HEADER = 'x-likeness-revision';
/** Response header: whole seconds during which the replica can have missed changes of others. */
export const STALE_HEADER = 'x-likeness-stale';

/** Both response headers for OpenAPI. */
export const REVISION_HEADERS = {
  [REVISION_HEADER]: {
    schema: { type: 'integer' as const },
    description:
      'Revision of the responding replica, which has applied every change up to it; errors have it too. Absent if the store has no replicas',
  },
  [STALE_HEADER]: {
    schema: { type: 'integer' as const },
    description:
      'Present only while the gallery servers are unreachable: seconds during which changes of others can be missing',
  },
};

/** Maximum wait for a revision: a replica is a few milliseconds behind, unless the servers are unreachable. */
const MAX_WAIT_MS = 5000;

/**
 * Marks a gallery route, or all routes of a controller: responses have the revision of this replica, and a request can
 * wait for a revision. Stores without replicas have no revisions: the headers are neither set nor read.
 */
export function GalleryRoutes(): ClassDecorator & MethodDecorator {
  return applyDecorators(
    UseInterceptors(GalleryRevisionInterceptor),
    ApiHeader({
      name: MIN_REVISION_HEADER,
      required: false,
      schema: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      description:
        `\`${REVISION_HEADER}\` of an earlier response: the replica waits for it, at most 5 seconds. ` +
        'Ignored without replicas.',
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
      // A stream sends its headers before it ends.
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
      throw invalidParameters({ [MIN_REVISION_HEADER]: 'must be an integer of at least 0' });
    }
    const timeoutMs = Math.min(timeoutOf(request) ?? MAX_WAIT_MS, MAX_WAIT_MS);
    if (await this.store.waitFor(minRevision, timeoutMs)) return;
    throw new FaceError(
      'GALLERY_REVISION_PENDING',
      `This replica has not read revision ${minRevision} of the galleries yet, so the request was not processed.`,
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
