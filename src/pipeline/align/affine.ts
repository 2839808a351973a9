import type { Point } from '../face.types';
import type { RgbImage } from '../image/rgb-image';

/** Maps (x, y) to (a * x - b * y + tx, b * x + a * y + ty): rotation, uniform scale, translation, no reflection. */
export interface Similarity {
  a: number;
  b: number;
  tx: number;
  ty: number;
}

export function applySimilarity({ a, b, tx, ty }: Similarity, { x, y }: Point): Point {
  return { x: a * x - b * y + tx, y: b * x + a * y + ty };
}

/**
 * Similarity transform from `from` to `to` with the least squared error.
 *
 * In two dimensions, without reflection, the minimum has this closed form; it equals the general solution.
 *
 * @see S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
 */
export function estimateSimilarity(from: readonly Point[], to: readonly Point[]): Similarity {
  const n = from.length;
  const mean = (points: readonly Point[]): Point => ({
    x: points.reduce((sum, p) => sum + p.x, 0) / n,
    y: points.reduce((sum, p) => sum + p.y, 0) / n,
  });
  const fromMean = mean(from);
  const toMean = mean(to);
  let dot = 0;
  let cross = 0;
  let squared = 0;
  for (let i = 0; i < n; i++) {
    const fx = from[i].x - fromMean.x;
    const fy = from[i].y - fromMean.y;
    const gx = to[i].x - toMean.x;
    const gy = to[i].y - toMean.y;
    dot += fx * gx + fy * gy;
    cross += fx * gy - fy * gx;
    squared += fx * fx + fy * fy;
  }
  // All points coincide: scale and rotation are undefined, so keep the size.
  const a = squared === 0 ? 1 : dot / squared;
  const b = squared === 0 ? 0 : cross / squared;
  return {
    a,
    b,
    tx: toMean.x - (a * fromMean.x - b * fromMean.y),
    ty: toMean.y - (b * fromMean.x + a * fromMean.y),
  };
}

export function invertSimilarity({ a, b, tx, ty }: Similarity): Similarity {
  const d = a * a + b * b;
  return { a: a / d, b: -b / d, tx: -(a * tx + b * ty) / d, ty: (b * tx - a * ty) / d };
}

/** Crops a rotated square from an image: `toSource` maps output pixels to image pixels. */
export function squareToSource(center: Point, side: number, outputSize: number, angle = 0): Similarity {
  const scale = side / outputSize;
  const a = scale * Math.cos(angle);
  const b = scale * Math.sin(angle);
  const middle = (outputSize - 1) / 2;
  return { a, b, tx: center.x - (a * middle - b * middle), ty: center.y - (b * middle + a * middle) };
}

/**
 * Above this number of image pixels per output pixel, two samples are averaged, half a pixel apart on both axes: four
 * take twice the time and gave the same TAR on cfp250.
 */
const SUPERSAMPLE_ABOVE = 1.25;

/**
 * Warps an image into `size` x `size` pixels, bilinear; black outside the image.
 *
 * Antialiased when shrinking: the source is first averaged in whole blocks, then, between one and two source pixels per
 * output pixel, two samples are averaged.
 *
 * @param toSource - maps output pixel centers to image pixel centers.
 * @returns `Uint8Array [size * size * 3]` HWC RGB, written at `offset` of `output`.
 */
export function warpSquare(
  image: RgbImage,
  toSource: Similarity,
  size: number,
  output: Uint8Array,
  offset: number,
): void {
  let source = wholeImage(image);
  let map = toSource;
  const factor = Math.floor(Math.hypot(map.a, map.b));
  if (factor >= 2) {
    source = averageBlocks(image, toSource, size, factor);
    const shift = (factor - 1) / 2;
    map = {
      a: map.a / factor,
      b: map.b / factor,
      tx: (map.tx - source.originX - shift) / factor,
      ty: (map.ty - source.originY - shift) / factor,
    };
  }
  const isFine = Math.hypot(map.a, map.b) <= SUPERSAMPLE_ABOVE;
  const offsets = isFine ? [0] : [-0.25, 0.25];
  const weight = 1 / offsets.length;
  const end = offset + size * size * 3;
  const sums = new Float32Array(size * size * 3);
  for (const shift of offsets) {
    const shifted = applySimilarity(map, { x: shift, y: shift });
    addBilinear(source, { ...map, tx: shifted.x, ty: shifted.y }, size, sums);
  }
  for (let at = offset, i = 0; at < end; at++, i++) output[at] = sums[i] * weight + 0.5;
}

/** An RGB buffer and the position of its first pixel in the image; everything outside is black. */
interface Patch extends RgbImage {
  originX: number;
  originY: number;
}

function wholeImage(image: RgbImage): Patch {
  return { ...image, originX: 0, originY: 0 };
}

/** Averages `factor` x `factor` blocks of the part of the image that the output square covers. */
function averageBlocks(image: RgbImage, toSource: Similarity, size: number, factor: number): Patch {
  const corners = [0, size - 1].flatMap((x) => [0, size - 1].map((y) => applySimilarity(toSource, { x, y })));
  const low = (values: number[]) => Math.max(0, Math.floor(Math.min(...values)) - factor);
  // Wide enough that the last block, which may be incomplete, is read only at the edge of the image.
  const high = (values: number[], max: number) => Math.min(max, Math.ceil(Math.max(...values)) + 3 * factor);
  const xs = corners.map(({ x }) => x);
  const ys = corners.map(({ y }) => y);
  const x0 = low(xs);
  const y0 = low(ys);
  const x1 = high(xs, image.width - 1);
  const y1 = high(ys, image.height - 1);
  const width = Math.max(0, Math.ceil((x1 - x0 + 1) / factor));
  const height = Math.max(0, Math.ceil((y1 - y0 + 1) / factor));
  const pixels = image.data;
  const data = new Uint8Array(width * height * 3);
  const sums = new Uint32Array(width * 3);
  for (let row = 0; row < height; row++) {
    sums.fill(0);
    const yEnd = Math.min(y0 + (row + 1) * factor, y1 + 1);
    for (let y = y0 + row * factor; y < yEnd; y++) {
      let at = (y * image.width + x0) * 3;
      const rowEnd = at + (x1 - x0 + 1) * 3;
      for (let to = 0; to < sums.length; to += 3) {
        const blockEnd = Math.min(at + factor * 3, rowEnd);
        let red = 0;
        let green = 0;
        let blue = 0;
        for (; at < blockEnd; at += 3) {
          red += pixels[at];
          green += pixels[at + 1];
          blue += pixels[at + 2];
        }
        sums[to] += red;
        sums[to + 1] += green;
        sums[to + 2] += blue;
      }
    }
    // Blocks cut by the edge keep the full weight, so that the outside counts as black.
    const weight = 1 / (factor * factor);
    for (let i = 0; i < width * 3; i++) data[row * width * 3 + i] = sums[i] * weight + 0.5;
  }
  return { data, width, height, originX: x0, originY: y0 };
}

/** Adds one bilinear sample per output pixel to `sums`. The hot loop of alignment: no calls, no allocation inside. */
function addBilinear(source: RgbImage, { a, b, tx, ty }: Similarity, size: number, sums: Float32Array): void {
  const { data, width, height } = source;
  const stride = width * 3;
  const lastX = width - 1;
  const lastY = height - 1;
  let to = 0;
  for (let row = 0; row < size; row++) {
    let x = tx - b * row;
    let y = ty + a * row;
    for (let column = 0; column < size; column++, to += 3, x += a, y += b) {
      if (!(x >= 0 && y >= 0 && x < lastX && y < lastY)) {
        if (x > -1 && y > -1 && x < width && y < height) addAtEdge(source, x, y, sums, to);
        continue;
      }
      // `| 0` is the floor of values that are not negative.
      const x0 = x | 0;
      const y0 = y | 0;
      const fx = x - x0;
      const fy = y - y0;
      const bottomRight = fx * fy;
      const topRight = fx - bottomRight;
      const bottomLeft = fy - bottomRight;
      const topLeft = 1 - fx - bottomLeft;
      const top = y0 * stride + x0 * 3;
      const bottom = top + stride;
      sums[to] +=
        data[top] * topLeft +
        data[top + 3] * topRight +
        data[bottom] * bottomLeft +
        data[bottom + 3] * bottomRight;
      sums[to + 1] +=
        data[top + 1] * topLeft +
        data[top + 4] * topRight +
        data[bottom + 1] * bottomLeft +
        data[bottom + 4] * bottomRight;
      sums[to + 2] +=
        data[top + 2] * topLeft +
        data[top + 5] * topRight +
        data[bottom + 2] * bottomLeft +
        data[bottom + 5] * bottomRight;
    }
  }
}

/** As {@link addBilinear} for one sample with some neighbors outside the image, which is black there. */
function addAtEdge(
  { data, width, height }: RgbImage,
  x: number,
  y: number,
  sums: Float32Array,
  to: number,
): void {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  for (const row of [y0, y0 + 1]) {
    for (const column of [x0, x0 + 1]) {
      if (row < 0 || column < 0 || row >= height || column >= width) continue;
      const weight = (1 - Math.abs(x - column)) * (1 - Math.abs(y - row));
      const from = (row * width + column) * 3;
      for (let channel = 0; channel < 3; channel++) sums[to + channel] += data[from + channel] * weight;
    }
  }
}
