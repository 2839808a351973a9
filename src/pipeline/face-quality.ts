import { alignFaces } from './align-faces';
import type { FacePose, Landmarks, PixelQuality, Point } from './face.types';
import { middle } from './landmarks-68';
import type { RgbImage } from './rgb-image';

/** Every face is measured on the same aligned square, whatever the embedder's: figures of all embedders compare. */
const FAMILY = 'arcface-112';
const SIZE = 112;
/**
 * Part of the square that is measured, pixels, from (inclusive) to (exclusive): brows to chin. Around it is background,
 * and black where the square leaves the image.
 */
const X = [24, 88] as const;
const Y = [36, 100] as const;

/**
 * Sharpness and brightness of faces, measured on their aligned squares.
 *
 * Grey is the luma of ITU-R BT.601. Sharpness is the variance of its 4-neighbour Laplacian. A face that is smaller in the
 * image than the square is stretched and so comes out as blurred: what counts is the detail that there is.
 */
export function measureFaces(image: RgbImage, faces: readonly { landmarks: Landmarks }[]): PixelQuality[] {
  const pixels = alignFaces(
    image,
    faces.map(({ landmarks }) => ({ landmarks })),
    FAMILY,
    SIZE,
  );
  const length = SIZE * SIZE * 3;
  return faces.map((_, i) => measureSquare(pixels.subarray(i * length, (i + 1) * length)));
}

/** @param pixels - `Uint8Array [112 * 112 * 3]` HWC RGB. */
export function measureSquare(pixels: Uint8Array): PixelQuality {
  const grey = new Float64Array(SIZE * SIZE);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * pixels[i * 3] + 0.587 * pixels[i * 3 + 1] + 0.114 * pixels[i * 3 + 2];
  }
  let sum = 0;
  let laplacianSum = 0;
  let laplacianSquares = 0;
  for (let y = Y[0]; y < Y[1]; y++) {
    for (let x = X[0]; x < X[1]; x++) {
      const at = y * SIZE + x;
      const laplacian = grey[at - SIZE] + grey[at + SIZE] + grey[at - 1] + grey[at + 1] - 4 * grey[at];
      sum += grey[at];
      laplacianSum += laplacian;
      laplacianSquares += laplacian * laplacian;
    }
  }
  const count = (X[1] - X[0]) * (Y[1] - Y[0]);
  const mean = laplacianSum / count;
  return {
    sharpness: Math.max(0, laplacianSquares / count - mean * mean),
    brightness: sum / count / 255,
  };
}

/** How far the tip of the nose stands out before the eyes, as a fraction of their distance: a mean head. */
const NOSE_DEPTH = 0.5;
/** Where the tip of the nose is between eyes (0) and mouth (1) of a face seen from the front: a mean head. */
const FRONTAL_NOSE = 0.5;
/** Distance from the eyes to the mouth, as a fraction of the distance of the eyes: a mean head. */
const MOUTH_DISTANCE = 1.15;

/**
 * Rough angles of a head from its five landmarks. Good for telling a portrait from a profile, not for measuring.
 *
 * With the eyes' line as x axis, d the distance of the eyes and h that from their middle down to the mouth: a nose that
 * stands out by `NOSE_DEPTH * d` moves aside by its depth times sin(yaw) while d shrinks with cos(yaw), so that
 * tan(yaw) = nose.x / d / NOSE_DEPTH. Up and down alike: tan(pitch) = (FRONTAL_NOSE - nose.y / h) / (NOSE_DEPTH / MOUTH_DISTANCE).
 */
export function poseOf([leftEye, rightEye, nose, leftMouth, rightMouth]: Landmarks): FacePose {
  const dx = rightEye.x - leftEye.x;
  const dy = rightEye.y - leftEye.y;
  const eyeDistance = Math.hypot(dx, dy);
  const eyes = middle([leftEye, rightEye]);
  const mouth = middle([leftMouth, rightMouth]);
  const along = (p: Point) => ((p.x - eyes.x) * dx + (p.y - eyes.y) * dy) / eyeDistance;
  const down = (p: Point) => ((p.y - eyes.y) * dx - (p.x - eyes.x) * dy) / eyeDistance;
  // atan2 holds where a face is seen so far from the side, or so badly, that a distance is 0.
  return {
    yaw: degrees(Math.atan2(along(nose), eyeDistance * NOSE_DEPTH)),
    pitch: degrees(
      Math.atan2(FRONTAL_NOSE * down(mouth) - down(nose), (down(mouth) * NOSE_DEPTH) / MOUTH_DISTANCE),
    ),
    roll: degrees(Math.atan2(dy, dx)),
  };
}

function degrees(radians: number): number {
  return (radians * 180) / Math.PI;
}
