import { seededRange } from '../../../test/support/seeded-random';
import {
  applySimilarity,
  estimateSimilarity,
  invertSimilarity,
  type Similarity,
  squareToSource,
  warpSquare,
} from './affine';
import type { Point } from '../face.types';
import type { RgbImage } from '../image/rgb-image';

type Range = (low: number, high: number) => number;

const IDENTITY: Similarity = { a: 1, b: 0, tx: 0, ty: 0 };

function randomSimilarity(range: Range): Similarity {
  const scale = range(0.2, 4);
  const angle = range(-Math.PI, Math.PI);
  return { a: scale * Math.cos(angle), b: scale * Math.sin(angle), tx: range(-50, 50), ty: range(-50, 50) };
}

function randomPoints(range: Range, count: number): Point[] {
  return Array.from({ length: count }, () => ({ x: range(-100, 100), y: range(-100, 100) }));
}

function squaredError(t: Similarity, from: readonly Point[], to: readonly Point[]): number {
  return from.reduce((sum, point, i) => {
    const { x, y } = applySimilarity(t, point);
    return sum + (x - to[i].x) ** 2 + (y - to[i].y) ** 2;
  }, 0);
}

/** Least squares in (a, b, tx, ty) by the normal equations, independent of the closed form. */
function solveLeastSquares(from: readonly Point[], to: readonly Point[]): Similarity {
  const rows = from.flatMap(({ x, y }, i) => [
    { row: [x, -y, 1, 0], value: to[i].x },
    { row: [y, x, 0, 1], value: to[i].y },
  ]);
  const matrix = [0, 1, 2, 3].map((i) => [
    ...[0, 1, 2, 3].map((j) => rows.reduce((sum, { row }) => sum + row[i] * row[j], 0)),
    rows.reduce((sum, { row, value }) => sum + row[i] * value, 0),
  ]);
  for (let pivot = 0; pivot < 4; pivot++) {
    const largest = matrix
      .slice(pivot)
      .reduce((best, row) => (Math.abs(row[pivot]) > Math.abs(best[pivot]) ? row : best));
    const at = matrix.indexOf(largest);
    [matrix[pivot], matrix[at]] = [matrix[at], matrix[pivot]];
    for (let row = 0; row < 4; row++) {
      if (row === pivot) continue;
      const factor = matrix[row][pivot] / matrix[pivot][pivot];
      for (let k = pivot; k < 5; k++) matrix[row][k] -= factor * matrix[pivot][k];
    }
  }
  const [a, b, tx, ty] = matrix.map((row, i) => row[4] / row[i]);
  return { a, b, tx, ty };
}

function expectSimilar(received: Similarity, expected: Similarity, digits = 8): void {
  for (const key of ['a', 'b', 'tx', 'ty'] as const) expect(received[key]).toBeCloseTo(expected[key], digits);
}

describe(estimateSimilarity.name, () => {
  it('recovers a known transform', () => {
    const range = seededRange(1);
    for (let round = 0; round < 200; round++) {
      const known = randomSimilarity(range);
      const from = randomPoints(range, 2 + (round % 5));
      const to = from.map((point) => applySimilarity(known, point));
      expectSimilar(estimateSimilarity(from, to), known);
    }
  });

  it('equals the general least-squares solution where points are noisy', () => {
    const range = seededRange(2);
    for (let round = 0; round < 100; round++) {
      const known = randomSimilarity(range);
      const from = randomPoints(range, 5);
      const to = from.map((point) => {
        const { x, y } = applySimilarity(known, point);
        return { x: x + range(-10, 10), y: y + range(-10, 10) };
      });
      const estimated = estimateSimilarity(from, to);
      expectSimilar(estimated, solveLeastSquares(from, to), 6);
      const error = squaredError(estimated, from, to);
      for (const key of ['a', 'b', 'tx', 'ty'] as const) {
        for (const step of [-1e-3, 1e-3]) {
          const moved = { ...estimated, [key]: estimated[key] + step };
          expect(squaredError(moved, from, to)).toBeGreaterThan(error);
        }
      }
    }
  });

  it('keeps the size where all points lie in one place', () => {
    const from = Array.from({ length: 5 }, () => ({ x: 3, y: 4 }));
    const to = Array.from({ length: 5 }, () => ({ x: 10, y: 20 }));
    expect(estimateSimilarity(from, to)).toEqual({ a: 1, b: 0, tx: 7, ty: 16 });
  });
});

describe(invertSimilarity.name, () => {
  it('undoes a transform', () => {
    const range = seededRange(3);
    for (let round = 0; round < 100; round++) {
      const known = randomSimilarity(range);
      const [point] = randomPoints(range, 1);
      const back = applySimilarity(invertSimilarity(known), applySimilarity(known, point));
      expect(back.x).toBeCloseTo(point.x, 8);
      expect(back.y).toBeCloseTo(point.y, 8);
    }
  });
});

describe(squareToSource.name, () => {
  it('maps the corners of the output to the corner pixels of the square', () => {
    // 40 px of the image on 20 px: pixel centers of the output lie 0.5 image pixels inside the first two.
    const map = squareToSource({ x: 99.5, y: 49.5 }, 40, 20);
    expect(applySimilarity(map, { x: 0, y: 0 })).toEqual({ x: 80.5, y: 30.5 });
    expect(applySimilarity(map, { x: 19, y: 19 })).toEqual({ x: 118.5, y: 68.5 });
  });

  it('turns clockwise on the screen around the center', () => {
    const map = squareToSource({ x: 10, y: 20 }, 5, 5, Math.PI / 2);
    const right = applySimilarity(map, { x: 4, y: 2 });
    expect(right.x).toBeCloseTo(10, 9);
    expect(right.y).toBeCloseTo(22, 9);
  });
});

describe(warpSquare.name, () => {
  const noise = (width: number, height: number, seed: number): RgbImage => {
    const range = seededRange(seed);
    return {
      data: Uint8Array.from({ length: width * height * 3 }, () => range(0, 256)),
      width,
      height,
    };
  };
  const warp = (image: RgbImage, map: Similarity, size: number) => {
    const output = new Uint8Array(size * size * 3);
    warpSquare(image, map, size, output, 0);
    return output;
  };
  const pixel = ({ data, width }: RgbImage, x: number, y: number) =>
    Array.from(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));

  it('copies the image under the identity', () => {
    const image = noise(16, 16, 1);
    expect(warp(image, IDENTITY, 16)).toEqual(image.data);
  });

  it('copies a shifted window, black outside the image', () => {
    const image = noise(10, 8, 2);
    const output = { data: warp(image, { ...IDENTITY, tx: -3, ty: 2 }, 12), width: 12, height: 12 };
    for (let y = 0; y < 12; y++) {
      for (let x = 0; x < 12; x++) {
        const inside = x >= 3 && x < 13 && y + 2 < 8;
        expect(pixel(output, x, y)).toEqual(inside ? pixel(image, x - 3, y + 2) : [0, 0, 0]);
      }
    }
  });

  it('turns by quarter turns without loss', () => {
    const image = noise(9, 9, 3);
    const quarter = squareToSource({ x: 4, y: 4 }, 9, 9, Math.PI / 2);
    const output = { data: warp(image, quarter, 9), width: 9, height: 9 };
    for (let y = 0; y < 9; y++) {
      for (let x = 0; x < 9; x++) expect(pixel(output, x, y)).toEqual(pixel(image, 8 - y, x));
    }
  });

  it('gives the middle of two pixels half-way between them', () => {
    const image = { data: Uint8Array.from([0, 100, 200, 50, 100, 100]), width: 2, height: 1 };
    expect(Array.from(warp(image, { ...IDENTITY, tx: 0.5 }, 1))).toEqual([25, 100, 150]);
  });

  it('gives the mean of every 8 x 8 block when it shrinks by 8', () => {
    const image = noise(64, 64, 4);
    const output = warp(image, squareToSource({ x: 31.5, y: 31.5 }, 64, 8), 8);
    for (let row = 0; row < 8; row++) {
      for (let column = 0; column < 8; column++) {
        for (let channel = 0; channel < 3; channel++) {
          let sum = 0;
          for (let y = 0; y < 8; y++) {
            for (let x = 0; x < 8; x++) sum += pixel(image, column * 8 + x, row * 8 + y)[channel];
          }
          const received = output[(row * 8 + column) * 3 + channel];
          expect(Math.abs(received - sum / 64)).toBeLessThanOrEqual(1);
        }
      }
    }
  });

  it('keeps the brightness of fine stripes at every scale and place (no moiré)', () => {
    const stripes = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
    stripes.data.forEach((_, i) => (stripes.data[i] = Math.floor(i / 3) % 2 === 0 ? 0 : 200));
    const range = seededRange(5);
    for (const factor of [2, 3, 4.4, 5.7, 7.1]) {
      const side = 16 * factor;
      const center = { x: range(80, 120), y: range(80, 120) };
      const output = warp(stripes, squareToSource(center, side, 16, range(-3, 3)), 16);
      for (const value of output) expect(Math.abs(value - 100)).toBeLessThanOrEqual(100 / Math.floor(factor));
    }
  });

  it('finds the same scene wherever the window lies when it shrinks', () => {
    // Averaging does not change a ramp at the same position: any shift of the blocks would show.
    const ramp = { data: new Uint8Array(250 * 250 * 3), width: 250, height: 250 };
    for (let y = 0; y < 250; y++) {
      for (let x = 0; x < 250; x++) ramp.data.set([x, y, Math.round((x + y) / 2)], (y * 250 + x) * 3);
    }
    const range = seededRange(6);
    for (let round = 0; round < 30; round++) {
      const map = squareToSource(
        { x: range(110, 140), y: range(110, 140) },
        range(20, 120),
        10,
        range(-3, 3),
      );
      const output = warp(ramp, map, 10);
      for (const [column, row] of [
        [0, 0],
        [9, 0],
        [4, 6],
        [9, 9],
      ]) {
        const { x, y } = applySimilarity(map, { x: column, y: row });
        const at = (row * 10 + column) * 3;
        expect(Math.abs(output[at] - x)).toBeLessThanOrEqual(1.6);
        expect(Math.abs(output[at + 1] - y)).toBeLessThanOrEqual(1.6);
      }
    }
  });

  it.each([1, 4])('gives black where the square lies wholly outside the image (scale %d)', (scale) => {
    const image = { data: new Uint8Array(20 * 20 * 3).fill(255), width: 20, height: 20 };
    for (const center of [
      { x: -500, y: 10 },
      { x: 10, y: 900 },
      { x: 700, y: -700 },
    ]) {
      const output = warp(image, squareToSource(center, 8 * scale, 8), 8);
      expect(output.every((value) => value === 0)).toBe(true);
    }
  });

  it('stays within 0 and 255 on white', () => {
    const white = { data: new Uint8Array(300 * 300 * 3).fill(255), width: 300, height: 300 };
    const range = seededRange(8);
    for (let round = 0; round < 20; round++) {
      const output = warp(white, squareToSource({ x: 150, y: 150 }, range(4, 160), 12, range(-3, 3)), 12);
      expect(output.every((value) => value >= 254)).toBe(true);
    }
  });

  it('writes at the offset only', () => {
    const image = { data: new Uint8Array(4 * 4 * 3).fill(9), width: 4, height: 4 };
    const output = new Uint8Array(3 * 12).fill(1);
    warpSquare(image, IDENTITY, 2, output, 12);
    expect(Array.from(output)).toEqual([...Array(12).fill(1), ...Array(12).fill(9), ...Array(12).fill(1)]);
  });
});
