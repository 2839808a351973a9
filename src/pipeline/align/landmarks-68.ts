import type { CardInput } from '../../models/model-card';
import { applySimilarity, type Similarity, squareToSource, warpSquare } from './affine';
import type { BoundingBox, Landmarks, Point } from '../face.types';
import { runBatch } from '../run-batch';
import type { RgbImage } from '../image/rgb-image';
import type { TensorSession } from '../tensor-session';

/**
 * Side of the square of the first pass, as a multiple of the longer side of the box; side of the second, as a multiple
 * of the extent of the points of the first pass; upward shift of the second, as a fraction of that extent. Measured in
 * docs/accuracy.md.
 */
const FIRST_SIDE = 1.2;
const SECOND_SIDE = 1.3;
const SECOND_SHIFT = 0.05;

/**
 * Finds 68 points in every face box.
 *
 * The first pass crops a square around the box. The second crops a square around the points of the first, turned with
 * the face, so its position does not depend on the box, which detectors draw in many ways.
 *
 * @param angle - approximate roll of the faces, radians, clockwise: the first pass crops them upright.
 * @returns per box 68 points in pixels of the image, in the order of the 300-W annotation.
 */
export async function findLandmarks68(
  image: RgbImage,
  boxes: readonly BoundingBox[],
  session: TensorSession,
  input: CardInput,
  angle = 0,
): Promise<Point[][]> {
  const crops = boxes.map((box) => boxCrop(box, input.width, FIRST_SIDE, angle));
  const first = await landmarksOfCrops(image, crops, session, input);
  return landmarksOfCrops(
    image,
    first.map((points) => pointsCrop(points, input.width)),
    session,
    input,
  );
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
        // The network returns fractions of the square from its corner; pixel centers are offset by half a pixel.
        x: landmarks.data[i * 136 + 2 * k] * size - 0.5,
        y: landmarks.data[i * 136 + 2 * k + 1] * size - 0.5,
      }),
    ),
  );
}

/** The square around the middle of a box, `factor` times as wide as its longer side, mapped from `size` x `size` pixels. */
export function boxCrop(box: BoundingBox, size: number, factor = 1, angle = 0): Similarity {
  const center = { x: box.x + box.width / 2 - 0.5, y: box.y + box.height / 2 - 0.5 };
  return squareToSource(center, Math.max(box.width, box.height) * factor, size, angle);
}

/** The square around the points, turned with the face. */
function pointsCrop(points: readonly Point[], size: number): Similarity {
  const angle = rollOf(points);
  const upright = points.map((point) => turn(point, -angle));
  const [left, right] = range(upright.map(({ x }) => x));
  const [top, bottom] = range(upright.map(({ y }) => y));
  const extent = Math.max(right - left, bottom - top);
  const center = turn({ x: (left + right) / 2, y: (top + bottom) / 2 - SECOND_SHIFT * extent }, angle);
  return squareToSource(center, SECOND_SIDE * extent, size, angle);
}

function turn({ x, y }: Point, angle: number): Point {
  return { x: x * Math.cos(angle) - y * Math.sin(angle), y: x * Math.sin(angle) + y * Math.cos(angle) };
}

function range(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
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
