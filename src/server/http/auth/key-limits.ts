import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { FaceError } from '../../../errors';
import type { AppRequest } from '../request/request-id';
import type { ApiKey } from './api-key';

/** Options of requests and galleries that decide what counts as a match. */
const DECISION_OPTIONS = ['threshold', 'targetFmr', 'targetFpir', 'reviewMargin', 'presentationAttack'];

/** Parameter of a controller method: the key of the request; undefined where it has none. */
export const CallerKey = createParamDecorator(
  (_data: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<AppRequest>().apiKey,
);

/** @throws {FaceError} FORBIDDEN when the key is limited to other galleries. */
export function assertGallery(key: ApiKey | undefined, galleryId: string): void {
  if (key?.galleries == null || key.galleries.includes(galleryId)) return;
  throw new FaceError('FORBIDDEN', 'The key may not use the gallery.', { galleryId });
}

/**
 * @param options - fields of a body as they came.
 * @throws {FaceError} FORBIDDEN when the key may not set thresholds and the options have one; `details.fields` names each.
 */
export function assertThresholds(key: ApiKey | undefined, options: object): void {
  if (key == null || key.maySetThresholds) return;
  const fields = DECISION_OPTIONS.filter((name) => Object.hasOwn(options, name));
  if (fields.length === 0) return;
  throw new FaceError('FORBIDDEN', `The key may not set ${fields.join(', ')}.`, { fields });
}

/** @throws {FaceError} FORBIDDEN when the key may not see distances, on routes that answer with little else. */
export function assertDistances(key: ApiKey | undefined): void {
  if (key == null || key.maySeeDistances) return;
  throw new FaceError('FORBIDDEN', 'The key may not see distances.');
}
