import type { CardInput } from '../model-store/model-card';
import { applySimilarity, type Similarity, squareToSource, warpSquare } from './affine';
import type { BoundingBox, Landmarks, Point } from './face.types';
import { runBatch } from './input-tensor';
import type { RgbImage } from './rgb-image';
import type { TensorSession } from './tensor-session';

/** Roll in radians from which a second pass on the uprighted face is made (docs/accuracy.md has the measurement). */
const SECOND_PASS_ROLL = (10 * Math.PI) / 180;

/**
 * Finds 68 points in every face box.
 *
 * The first pass cuts out the square around the box. A rolled face is then cut out once more, uprighted by the roll that the
 * first pass saw: that repairs most of what the roll spoilt.
 *
 * @param angle - roll of the faces as far as it is known, radians, clockwise: the first pass cuts them out upright.
 * @returns per box 68 points in pixels of the image, in the order of the 300-W annotation.
 */
export async function findLandmarks68(
  image: RgbImage,
  boxes: readonly BoundingBox[],
  session: TensorSession,
  input: CardInput,
  angle = 0,
): Promise<Point[][]> {
  const first = await landmarksOfCrops(
    image,
    boxes.map((box) => boxCrop(box, input.width, angle)),
    session,
    input,
  );
  const rolled = boxes.map((_, i) => i).filter((i) => Math.abs(rollOf(first[i]) - angle) >= SECOND_PASS_ROLL);
  if (rolled.length === 0) return first;
  const second = await landmarksOfCrops(
    image,
    rolled.map((i) => uprightCrop(boxes[i], first[i], input.width)),
    session,
    input,
  );
  rolled.forEach((i, k) => (first[i] = second[k]));
  return first;
}

/**
 * Five landmarks from 68: the middle of each eye (36 to 41, 42 to 47), the nose tip (30), the mouth corners (48, 54).
 */
export function fiveOf68(points: readonly Point[]): Landmarks {
  return [middle(points.slice(36, 42)), middle(points.slice(42, 48)), points[30], points[48], points[54]];
}

async function landmarksOfCrops(
  image: RgbImage,
  crops: readonly Similarity[],
  session: TensorSession,
  input: CardInput,
): Promise<Point[][]> {
  const size = input.width;
  const pixels = new Uint8Array(crops.length * size * size * 3);
  crops.forEach((toSource, i) => warpSquare(image, toSource, size, pixels, i * size * size * 3));
  const [landmarks] = await runBatch(session, input, pixels, crops.length);
  return crops.map((toSource, i) =>
    Array.from({ length: 68 }, (_, k) =>
      applySimilarity(toSource, {
        // The network answers in fractions of the square, measured from its corner; pixel centres are half a pixel in.
        x: landmarks.data[i * 136 + 2 * k] * size - 0.5,
        y: landmarks.data[i * 136 + 2 * k + 1] * size - 0.5,
      }),
    ),
  );
}

/** The square around the middle of a box, as wide as its longer side, mapped from `size` x `size` pixels. */
export function boxCrop(box: BoundingBox, size: number, angle = 0): Similarity {
  const center = { x: box.x + box.width / 2 - 0.5, y: box.y + box.height / 2 - 0.5 };
  return squareToSource(center, Math.max(box.width, box.height), size, angle);
}

/** The square around the points, as large as the box, turned with the face. */
function uprightCrop(box: BoundingBox, points: readonly Point[], size: number): Similarity {
  const center = middle(points);
  return squareToSource(center, Math.max(box.width, box.height), size, rollOf(points));
}

/** Angle of the line from the image-left to the image-right eye, radians, clockwise on the screen. */
function rollOf(points: readonly Point[]): number {
  const [left, right] = fiveOf68(points);
  return rollOfEyes(left, right);
}

/** As {@link rollOf}, from the eyes. */
export function rollOfEyes(left: Point, right: Point): number {
  return Math.atan2(right.y - left.y, right.x - left.x);
}

export function middle(points: readonly Point[]): Point {
  return {
    x: points.reduce((sum, p) => sum + p.x, 0) / points.length,
    y: points.reduce((sum, p) => sum + p.y, 0) / points.length,
  };
}
