import { alignFaces } from './align/align-faces';
import type { FaceDetection, PixelQuality } from './face.types';
import type { RgbImage } from './image/rgb-image';

/** Every face is measured on the same aligned square, so that figures of all embedders can be compared. */
const FAMILY = 'arcface-112';
const SIZE = 112;
/**
 * Measured part of the square in pixels, from (inclusive) to (exclusive): brows to chin. The rest is background, or
 * black outside the image.
 */
const X = [24, 88] as const;
const Y = [36, 100] as const;

/**
 * Sharpness and brightness of faces, measured on their aligned squares.
 *
 * Gray is the luma of ITU-R BT.601. Sharpness is the variance of its 4-neighbor Laplacian. A face smaller than the
 * square is enlarged and therefore measured as blurred: only its actual detail counts.
 *
 * @returns `null` for a face without landmarks, because the position of its brows and chin is unknown.
 */
export function measureFaces(
  image: RgbImage,
  faces: readonly Pick<FaceDetection, 'box' | 'landmarks'>[],
): (PixelQuality | null)[] {
  return faces.map(({ box, landmarks }) =>
    landmarks == null
      ? null
      : measureSquare(alignFaces(image, [{ box, landmarks }], FAMILY, { width: SIZE, height: SIZE })),
  );
}

/** @param pixels - `Uint8Array [112 * 112 * 3]` HWC RGB. */
export function measureSquare(pixels: Uint8Array): PixelQuality {
  const gray = new Float64Array(SIZE * SIZE);
  for (let i = 0; i < gray.length; i++) {
    gray[i] = 0.299 * pixels[i * 3] + 0.587 * pixels[i * 3 + 1] + 0.114 * pixels[i * 3 + 2];
  }
  let sum = 0;
  let laplacianSum = 0;
  let laplacianSquares = 0;
  for (let y = Y[0]; y < Y[1]; y++) {
    for (let x = X[0]; x < X[1]; x++) {
      const at = y * SIZE + x;
      const laplacian = gray[at - SIZE] + gray[at + SIZE] + gray[at - 1] + gray[at + 1] - 4 * gray[at];
      sum += gray[at];
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
