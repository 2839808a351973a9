import { FaceError } from '../errors';
import type { FaceDetection, ImageFaces } from '../pipeline/face.types';

/**
 * Refuses an image without a usable face.
 *
 * @throws {FaceError} FACE_NOT_DETECTED; where faces were found and none of them is plausibly aligned, with `details.reason` of
 * `not_aligned` and `details.unalignedCount`.
 */
export function assertFace({
  faces,
  unalignedCount,
}: Pick<ImageFaces<FaceDetection>, 'faces' | 'unalignedCount'>): void {
  if (faces.length > 0) return;
  if (unalignedCount === 0) throw new FaceError('FACE_NOT_DETECTED', 'No face was found in the image.');
  throw new FaceError(
    'FACE_NOT_DETECTED',
    'A face was found, but it is not upright and aligned well enough to be compared.',
    { reason: 'not_aligned', unalignedCount },
  );
}
