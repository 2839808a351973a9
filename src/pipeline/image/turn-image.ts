import type { BoundingBox, Point } from '../face.types';
import type { RgbImage } from './rgb-image';

/** Rotation of a picture in degrees, clockwise. */
export const ROTATIONS = [0, 90, 180, 270] as const;
export type Rotation = (typeof ROTATIONS)[number];

/** Turns a picture clockwise. Not in place; the same picture for 0. */
export function turnImage(image: RgbImage, rotation: Rotation): RgbImage {
  if (rotation === 0) return image;
  const { data, width, height } = image;
  const isAcross = rotation !== 180;
  const turned = {
    data: new Uint8Array(data.length),
    width: isAcross ? height : width,
    height: isAcross ? width : height,
  };
  // Position of the first pixel of the result in the source, and the distances of its neighbors there, in pixels.
  const [start, toRight, toNext] = {
    90: [(height - 1) * width, -width, 1],
    180: [height * width - 1, -1, -width],
    270: [width - 1, width, -1],
  }[rotation];
  const out = turned.data;
  for (let row = 0, to = 0; row < turned.height; row++) {
    let from = (start + row * toNext) * 3;
    for (let column = 0; column < turned.width; column++, from += toRight * 3, to += 3) {
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return turned;
}

/**
 * Maps a point of a rotated picture back to the original picture.
 *
 * @param size - of the original picture. For points relative to pixel centers, less 1: a point at 0 is then the center
 * of a pixel.
 */
function turnPointBack({ x, y }: Point, rotation: Rotation, width: number, height: number): Point {
  switch (rotation) {
    case 0:
      return { x, y };
    case 90:
      return { x: y, y: height - x };
    case 180:
      return { x: width - x, y: height - y };
    case 270:
      return { x: width - y, y: x };
  }
}

/** As {@link turnPointBack}, for points relative to the center of the first pixel, such as landmarks. */
export function turnLandmarkBack(
  point: Point,
  rotation: Rotation,
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
): Point {
  return turnPointBack(point, rotation, width - 1, height - 1);
}

/** Maps a box of the rotated picture back to the original picture. */
export function turnBoxBack(
  box: BoundingBox,
  rotation: Rotation,
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
): BoundingBox {
  const a = turnPointBack(box, rotation, width, height);
  const b = turnPointBack({ x: box.x + box.width, y: box.y + box.height }, rotation, width, height);
  return {
    x: Math.min(a.x, b.x),
    y: Math.min(a.y, b.y),
    width: Math.abs(a.x - b.x),
    height: Math.abs(a.y - b.y),
  };
}

/** Maps a box of the original picture to the rotated picture. */
export function turnBox(
  box: BoundingBox,
  rotation: Rotation,
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
): BoundingBox {
  const turned = rotation % 180 === 0 ? { width, height } : { width: height, height: width };
  return turnBoxBack(box, ((360 - rotation) % 360) as Rotation, turned);
}
