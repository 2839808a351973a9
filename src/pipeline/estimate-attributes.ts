import type { ModelCard } from '../model-store/model-card';
import { squareToSource, warpSquare } from './affine';
import { type AnalyzedFace, EXPRESSIONS, type FaceDetection, type Landmarks } from './face.types';
import { runBatch } from './input-tensor';
import { middle } from './landmarks-68';
import type { RgbImage } from './rgb-image';
import type { TensorSession } from './tensor-session';

/** A loaded attribute model. */
export interface AttributeModel {
  card: ModelCard;
  session: TensorSession;
}

/** Estimates age, gender and expression of every face, one batched run per network. */
export async function estimateAttributes(
  image: RgbImage,
  faces: readonly FaceDetection[],
  ageGender: AttributeModel,
  expression: AttributeModel,
): Promise<Omit<AnalyzedFace, keyof FaceDetection>[]> {
  if (faces.length === 0) return [];
  const [ages, genders] = await runOnCrops(image, faces, ageGender);
  const [expressions] = await runOnCrops(image, faces, expression);
  return faces.map((_, i) => {
    const genderScores = { male: genders.data[i * 2], female: genders.data[i * 2 + 1] };
    const scores = expressions.data.subarray(i * EXPRESSIONS.length, (i + 1) * EXPRESSIONS.length);
    return {
      age: ages.data[i],
      gender: genderScores.male >= genderScores.female ? ('male' as const) : ('female' as const),
      genderScores,
      expression: EXPRESSIONS[scores.indexOf(Math.max(...scores))],
      expressionScores: Object.fromEntries(
        EXPRESSIONS.map((name, k) => [name, scores[k]]),
      ) as AnalyzedFace['expressionScores'],
    };
  });
}

function runOnCrops(image: RgbImage, faces: readonly FaceDetection[], { card, session }: AttributeModel) {
  const size = card.input.width;
  const bytes = size * size * 3;
  const pixels = new Uint8Array(faces.length * bytes);
  faces.forEach(({ landmarks }, i) => {
    const { center, side } = faceSquare(landmarks);
    warpSquare(image, squareToSource(center, side, size), size, pixels, i * bytes);
  });
  return runBatch(session, card.input, pixels, faces.length);
}

/**
 * The upright square that the attribute networks were trained on: side = mean distance of the eyes to the mouth / 0.45,
 * its middle a little below the middle of eyes and mouth.
 *
 * @see @vladmandic/face-api src/classes/FaceLandmarks.ts (alignDlib). Differs: no rounding to whole pixels, and the
 * square is not clipped at the image's edge before it is padded.
 */
function faceSquare([leftEye, rightEye, , leftMouth, rightMouth]: Landmarks): {
  center: { x: number; y: number };
  side: number;
} {
  const mouth = middle([leftMouth, rightMouth]);
  const distance = (eye: { x: number; y: number }) => Math.hypot(mouth.x - eye.x, mouth.y - eye.y);
  const side = (distance(leftEye) + distance(rightEye)) / 2 / 0.45;
  const reference = middle([leftEye, rightEye, mouth]);
  return { center: { x: reference.x, y: reference.y + (0.5 - 0.43) * side }, side };
}
