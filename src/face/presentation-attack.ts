import { FaceError } from '../errors';
import type { FaceDetection, PresentationAttackPolicy } from '../pipeline/face.types';

/**
 * Refuses an image whose faces are suspected, where the policy is `require`: before anything is compared or stored.
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
        ? 'Too little is to be seen around the face to tell whether it is genuine.'
        : 'The face is suspected to be no genuine one but a presentation attack.';
    throw new FaceError('PRESENTATION_ATTACK_SUSPECTED', message, { label, score });
  }
}
