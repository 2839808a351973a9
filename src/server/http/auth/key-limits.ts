import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { FaceError } from '../../../errors';
import type { AppRequest } from '../request/request-id';
import type { ApiKey } from './api-key';

/** Options of requests and galleries that affect the decision. */
const DECISION_OPTIONS = ['threshold', 'targetFmr', 'targetFpir', 'reviewMargin', 'presentationAttack'];

/** Parameter of a controller method: the key of the request, or undefined. */
export const CallerKey = createParamDecorator(
  (_data: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<AppRequest>().apiKey,
);

/** @throws {FaceError} FORBIDDEN if the key is limited to other galleries. */
export function assertGallery(key: ApiKey | undefined, galleryId: string): void {
  if (key?.galleries == null || key.galleries.includes(galleryId)) return;
  throw new FaceError('FORBIDDEN', 'The key does not have access to the gallery.', { galleryId });
}

/**
 * @param options - raw fields of a body.
 * @throws {FaceError} FORBIDDEN if the options have thresholds and the key cannot set them; `details.fields` names
 * each.
 */
export function assertThresholds(key: ApiKey | undefined, options: object): void {
  if (key == null || key.maySetThresholds) return;
  const fields = DECISION_OPTIONS.filter((name) => Object.hasOwn(options, name));
  if (fields.length === 0) return;
  throw new FaceError('FORBIDDEN', `The key is not allowed to set ${fields.join(', ')}.`, { fields });
}

/** @throws {FaceError} FORBIDDEN if the key has no access to distances, for routes that return little else. */
export function assertDistances(key: ApiKey | undefined): void {
  if (key == null || key.maySeeDistances) return;
  throw new FaceError('FORBIDDEN', 'The key does not have access to distances.');
}
