import { FaceError } from '../errors';
import type { BoundingBox, FaceSelection } from './face.types';

interface Located {
  box: BoundingBox;
}

/** Selection of the found faces. */
export interface SelectOptions {
  selection: FaceSelection;
  maxFaces: number;
  /** Shorter side of the box in pixels of the upright image. */
  minFaceSize: number;
}

/**
 * Selects faces, largest first (for `centerLargest`, the chosen one).
 *
 * @throws {FaceError} FACE_AMBIGUOUS for several faces with `single`; `details.faceCount` is their number.
 */
export function selectFaces<F extends Located>(
  faces: readonly F[],
  imageWidth: number,
  imageHeight: number,
  { selection, maxFaces, minFaceSize }: SelectOptions,
): F[] {
  const largestFirst = faces
    .filter(({ box }) => Math.min(box.width, box.height) >= minFaceSize)
    .sort((a, b) => area(b) - area(a));
  switch (selection) {
    case 'all':
      return largestFirst.slice(0, maxFaces);
    case 'best':
      return largestFirst.slice(0, 1);
    case 'single':
      if (largestFirst.length > 1) {
        throw new FaceError(
          'FACE_AMBIGUOUS',
          `Expected a single face in the image but found ${largestFirst.length}.`,
          { faceCount: largestFirst.length },
        );
      }
      return largestFirst;
    case 'centerLargest': {
      const weight = (face: F) => area(face) - 2 * squaredDistanceToCenter(face, imageWidth, imageHeight);
      return largestFirst.sort((a, b) => weight(b) - weight(a)).slice(0, 1);
    }
  }
}

function area({ box }: Located): number {
  return box.width * box.height;
}

/** @see peers.md 5.2: area minus twice the squared distance to the center, the ranking of InsightFace. */
function squaredDistanceToCenter({ box }: Located, imageWidth: number, imageHeight: number): number {
  const dx = box.x + box.width / 2 - imageWidth / 2;
  const dy = box.y + box.height / 2 - imageHeight / 2;
  return dx * dx + dy * dy;
}
