import { seededRange } from '../../../test/support/seeded-random';
import { applySimilarity, type Similarity } from './affine';
import { alignFaces } from './align-faces';
import type { Landmarks, Point } from '../face.types';
import { fiveOf68 } from './landmarks-68';
import type { RgbImage } from '../image/rgb-image';

/** Positions of the five landmarks in 112 x 112 pixels by InsightFace. */
const ARCFACE: readonly Point[] = [
  { x: 38.2946, y: 51.6963 },
  { x: 73.5318, y: 51.5014 },
  { x: 56.0252, y: 71.7366 },
  { x: 41.5493, y: 92.3655 },
  { x: 70.7299, y: 92.2041 },
];

/** dlib's mean face, points 17 to 67, in a frame of 0 to 1. */
const DLIB_X = [
  0.000213256, 0.0752622, 0.18113, 0.29077, 0.393397, 0.586856, 0.689483, 0.799124, 0.904991, 0.98004,
  0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217, 0.613373, 0.121737, 0.187122,
  0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428, 0.793132, 0.858516, 0.79751, 0.719335, 0.254149,
  0.340985, 0.428858, 0.490127, 0.551395, 0.639268, 0.726104, 0.642159, 0.556721, 0.490127, 0.423532,
  0.338094, 0.290379, 0.428096, 0.490127, 0.552157, 0.689874, 0.553364, 0.490127, 0.42689,
];
const DLIB_Y = [
  0.106454, 0.038915, 0.0187482, 0.0344891, 0.0773906, 0.0773906, 0.0344891, 0.0187482, 0.038915, 0.106454,
  0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326, 0.216423,
  0.178758, 0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852, 0.178758, 0.216423, 0.244077,
  0.245099, 0.780233, 0.745405, 0.727388, 0.742578, 0.727388, 0.745405, 0.780233, 0.864805, 0.902192,
  0.909281, 0.902192, 0.864805, 0.784792, 0.778746, 0.785343, 0.778746, 0.784792, 0.824182, 0.831803,
  0.824182,
];
/**
 * The mean face in a chip of 150 x 150 pixels with a margin of a sixth on each side; the position of the jaw is
 * arbitrary.
 */
const DLIB: Point[] = Array.from({ length: 68 }, (_, i) =>
  i < 17
    ? { x: -100 * i, y: 33 }
    : { x: ((0.25 + DLIB_X[i - 17]) / 1.5) * 150, y: ((0.25 + DLIB_Y[i - 17]) / 1.5) * 150 },
);

const place = (map: Similarity, points: readonly Point[]) =>
  points.map((point) => applySimilarity(map, point));
const asLandmarks = (points: readonly Point[]) => points as unknown as Landmarks;
const blank = (width: number, height: number): RgbImage => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
});

/** A soft white dot with a center that may lie between pixels. */
function dot(image: RgbImage, { x, y }: Point, radius: number): void {
  for (let row = Math.floor(y - radius - 1); row <= y + radius + 1; row++) {
    for (let column = Math.floor(x - radius - 1); column <= x + radius + 1; column++) {
      if (row < 0 || column < 0 || row >= image.height || column >= image.width) continue;
      const value = 255 * Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(column - x, row - y)));
      const at = (row * image.width + column) * 3;
      image.data.fill(Math.max(value, image.data[at]), at, at + 3);
    }
  }
}

/** Center of brightness within a few pixels of a position. */
function brightest(chip: Uint8Array, size: number, { x, y }: Point, reach = 8): Point {
  let [sum, sumX, sumY] = [0, 0, 0];
  for (let row = Math.round(y) - reach; row <= Math.round(y) + reach; row++) {
    for (let column = Math.round(x) - reach; column <= Math.round(x) + reach; column++) {
      const value = chip[(row * size + column) * 3];
      sum += value;
      sumX += value * column;
      sumY += value * row;
    }
  }
  return { x: sumX / sum, y: sumY / sum };
}

/** Similarity transforms that keep a face of this size inside an image of 400 x 400. */
function* placements(seed: number, extent: number): Generator<Similarity> {
  const range = seededRange(seed);
  for (let round = 0; round < 12; round++) {
    const scale = range(0.8, 2.2);
    const angle = range(-Math.PI, Math.PI);
    const turn = { a: scale * Math.cos(angle), b: scale * Math.sin(angle), tx: 0, ty: 0 };
    const center = applySimilarity(turn, { x: extent / 2, y: extent / 2 });
    yield { ...turn, tx: range(190, 210) - center.x, ty: range(190, 210) - center.y };
  }
}

const square = (side: number) => ({ width: side, height: side });
/** Ignored if there are landmarks. */
const NO_BOX = { x: 0, y: 0, width: 0, height: 0 };

describe(alignFaces.name, () => {
  it('brings dots at the landmarks onto the template of arcface-112, whatever the roll and the size', () => {
    for (const map of placements(31, 112)) {
      const image = blank(400, 400);
      const landmarks = place(map, ARCFACE);
      const radius = 2 * Math.hypot(map.a, map.b);
      for (const point of landmarks) dot(image, point, radius);
      const chip = alignFaces(
        image,
        [{ box: NO_BOX, landmarks: asLandmarks(landmarks) }],
        'arcface-112',
        square(112),
      );
      for (const target of ARCFACE) {
        const { x, y } = brightest(chip, 112, target);
        expect(Math.hypot(x - target.x, y - target.y)).toBeLessThan(0.25);
      }
    }
  });

  it('scales the template of arcface-112 with the size', () => {
    const image = blank(112, 112);
    for (const point of ARCFACE) dot(image, point, 2);
    const chip = alignFaces(
      image,
      [{ box: NO_BOX, landmarks: asLandmarks(ARCFACE) }],
      'arcface-112',
      square(224),
    );
    expect(chip).toHaveLength(224 * 224 * 3);
    for (const target of ARCFACE) {
      const { x, y } = brightest(chip, 224, { x: 2 * target.x, y: 2 * target.y }, 12);
      expect(Math.hypot(x - 2 * target.x, y - 2 * target.y)).toBeLessThan(0.25);
    }
  });

  it('brings dots at the eyes, the nose and the mouth onto the mean face of dlib, by five points and by all', () => {
    const targets = fiveOf68(DLIB);
    for (const map of placements(32, 150)) {
      const image = blank(400, 400);
      const landmarks68 = place(map, DLIB);
      const landmarks = fiveOf68(landmarks68);
      for (const point of landmarks) dot(image, point, 2 * Math.hypot(map.a, map.b));
      for (const points of [{ landmarks }, { landmarks, landmarks68 }]) {
        const chip = alignFaces(image, [{ box: NO_BOX, ...points }], 'dlib-150', square(150));
        for (const target of targets) {
          const { x, y } = brightest(chip, 150, target);
          expect(Math.hypot(x - target.x, y - target.y)).toBeLessThan(0.25);
        }
      }
    }
  });

  describe('dlib-150', () => {
    const image = blank(300, 300);
    const range = seededRange(33);
    image.data.forEach((_, i) => (image.data[i] = range(0, 256)));
    const map = { a: 1.1, b: 0.3, tx: 60, ty: 40 };
    const chipOf = (points: Point[]) =>
      alignFaces(
        image,
        [{ box: NO_BOX, landmarks: fiveOf68(points), landmarks68: points }],
        'dlib-150',
        square(150),
      );
    const difference = (a: Uint8Array, b: Uint8Array) =>
      a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

    it('cuts out the same chip by five points as by all where all lie as in the mean face', () => {
      const points = place(map, DLIB);
      const byFive = alignFaces(
        image,
        [{ box: NO_BOX, landmarks: fiveOf68(points) }],
        'dlib-150',
        square(150),
      );
      expect(difference(byFive, chipOf(points))).toBeLessThanOrEqual(1);
    });

    it.each([
      ['the jaw', [0, 8, 16]],
      ['the brows', [17, 21, 22, 26]],
      ['the lower lip', [55, 57, 59, 65, 66, 67]],
    ])('does not move with %s', (_, moved) => {
      const points = place(map, DLIB);
      const before = chipOf(points);
      for (const i of moved) points[i] = { x: points[i].x + 9, y: points[i].y + 25 };
      expect(chipOf(points)).toEqual(before);
    });

    it.each([27, 30, 35, 36, 47, 48, 54, 60, 64])('moves with point %d', (i) => {
      const points = place(map, DLIB);
      const before = chipOf(points);
      points[i] = { x: points[i].x + 30, y: points[i].y + 30 };
      expect(difference(chipOf(points), before)).toBeGreaterThan(20);
    });
  });

  describe('cuts faces out by their boxes', () => {
    const range = seededRange(34);
    const noise = blank(200, 200);
    noise.data.forEach((_, i) => (noise.data[i] = range(0, 256)));
    const whole = { box: { x: 0, y: 0, width: 200, height: 200 }, landmarks: null };
    const landmarks = asLandmarks(place({ a: 0.7, b: 0.4, tx: 60, ty: 20 }, ARCFACE));

    it.each(['arcface-112', 'dlib-150', 'upright-crop'])(
      'where they have no landmarks, and where they are not to be aligned: %s',
      (family) => {
        const box = { x: 30, y: 40, width: 100, height: 120 };
        const cut = alignFaces(noise, [{ box, landmarks: null }], family, square(112));
        const found = [{ box, landmarks }];
        expect(alignFaces(noise, found, family, square(112), false)).toEqual(cut);
        expect(alignFaces(noise, found, family, square(112))).not.toEqual(cut);
      },
    );

    it.each(['arcface-112', 'dlib-150', 'upright-crop'])(
      'an aligned face comes back as it is: %s',
      (family) => {
        expect(alignFaces(noise, [whole], family, square(200))).toEqual(noise.data);
      },
    );

    it.each(['arcface-112', 'upright-crop'])('centered on black, with the aspect kept: %s', (family) => {
      const white = blank(200, 200);
      white.data.fill(255);
      // 100 by 50 fills rows 28 to 83 of 112.
      const box = { x: 20, y: 90, width: 100, height: 50 };
      const chip = alignFaces(white, [{ box, landmarks: null }], family, square(112));
      const column = Array.from({ length: 112 }, (_, y) => chip[(y * 112 + 56) * 3]);
      expect(column.slice(0, 27)).toEqual(Array(27).fill(0));
      expect(column.slice(29, 83)).toEqual(Array(54).fill(255));
      expect(column.slice(85)).toEqual(Array(27).fill(0));
      const left = { ...box, x: -50 };
      const [beside] = [alignFaces(white, [{ box: left, landmarks: null }], family, square(112))];
      expect([beside[(56 * 112 + 50) * 3], beside[(56 * 112 + 62) * 3]]).toEqual([0, 255]);
    });

    it('averages where it shrinks, but for upright-crop, which must not', () => {
      const [smooth, rough] = ['arcface-112', 'upright-crop'].map((family) => {
        const chip = alignFaces(noise, [whole], family, square(20));
        return Math.max(...chip) - Math.min(...chip);
      });
      expect(smooth).toBeLessThan(150);
      expect(rough).toBeGreaterThan(200);
    });

    it('fills inputs that are no squares: upright-crop', () => {
      const faces = [
        { box: { x: 10, y: 10, width: 60, height: 60 }, landmarks: null },
        { box: { x: 50, y: 30, width: 90, height: 120 }, landmarks },
      ];
      const chips = alignFaces(noise, faces, 'upright-crop', { width: 47, height: 55 });
      const single = faces.flatMap((face) =>
        Array.from(alignFaces(noise, [face], 'upright-crop', { width: 47, height: 55 })),
      );
      expect(chips).toHaveLength(2 * 47 * 55 * 3);
      expect(Array.from(chips)).toEqual(single);
    });
  });

  it('writes the faces one after the other', () => {
    const image = blank(300, 300);
    const maps = [
      { a: 1, b: 0, tx: 0, ty: 0 },
      { a: 0.7, b: 0.7, tx: 180, ty: 100 },
      { a: 1.3, b: 0, tx: 120, ty: 150 },
    ];
    const faces = maps.map((map) => ({ box: NO_BOX, landmarks: asLandmarks(place(map, ARCFACE)) }));
    faces.forEach(({ landmarks }, i) => dot(image, landmarks[i], 3));
    const all = alignFaces(image, faces, 'arcface-112', square(112));
    const single = faces.map((face) => Array.from(alignFaces(image, [face], 'arcface-112', square(112))));
    expect(Array.from(all)).toEqual(single.flat());
    expect(new Set(single.map((chip) => chip.join())).size).toBe(3);
  });

  it('gives nothing for no faces, and black where a face leaves the image', () => {
    const white = blank(60, 112);
    white.data.fill(255);
    expect(alignFaces(white, [], 'arcface-112', square(112))).toHaveLength(0);
    // The template itself: pixels keep their positions.
    const chip = alignFaces(
      white,
      [{ box: NO_BOX, landmarks: asLandmarks(ARCFACE) }],
      'arcface-112',
      square(112),
    );
    const row = Array.from({ length: 112 }, (_, x) => chip[(56 * 112 + x) * 3]);
    expect(row.slice(1, 59)).toEqual(Array(58).fill(255));
    expect(row.slice(61)).toEqual(Array(51).fill(0));
  });
});
