import { FaceError } from '../errors';
import type { FaceDetection, PresentationAttackPolicy } from '../pipeline/face.types';

/**
 * Refuses an image with suspected faces under the policy `require`, before anything is compared or stored.
 *
 * @param faces - the selected faces, judged.
 * @throws {FaceError} PRESENTATION_ATTACK_SUSPECTED for the first face that is not labeled `real`, with `details.label` and
 * `details.score`; also for one that was not judged.
 */
export function assertPresented(faces: readonly FaceDetection[], policy: PresentationAttackPolicy): void {
  if (policy !== 'require') return;
  for (const { presentationAttack } of faces) {
    const { label, score } = presentationAttack ?? { label: 'insufficient_context', score: null };
    if (label === 'real') continue;
    const message =
      label === 'insufficient_context'
        ? 'The image shows too little around the face to decide whether it is genuine.'
        : 'The face is suspected to be a presentation attack.';
    throw new FaceError('PRESENTATION_ATTACK_SUSPECTED', message, { label, score });
  }
}
