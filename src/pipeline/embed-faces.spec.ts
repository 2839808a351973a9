import type { ModelCard } from '../model-store/model-card';
import { applySimilarity } from './affine';
import { alignFaces } from './align-faces';
import { embedFaces } from './embed-faces';
import type { Landmarks, Point } from './face.types';
import { findLandmarks68, fiveOf68 } from './landmarks-68';
import type { TensorSession } from './tensor-session';

const cardOf = (mirrorAverage: boolean) =>
  ({
    name: 'fake',
    input: {
      width: 2,
      height: 1,
      layout: 'NHWC',
      dtype: 'uint8',
      colorOrder: 'RGB',
      mean: [0, 0, 0],
      std: [1, 1, 1],
      maxBatch: 8,
    },
    embedding: { dimensions: 2, mirrorAverage },
  }) as unknown as ModelCard;

/** Its embedding is the red of the left and of the right pixel. */
const reds: TensorSession = {
  async run(data, [batch]) {
    const values = Array.from({ length: batch }, (_, i) => [data[i * 6], data[i * 6 + 3]]).flat();
    return [{ data: Float32Array.from(values), dims: [batch, 2] }];
  },
  release: async () => undefined,
};

describe(embedFaces.name, () => {
  const crops = Uint8Array.from([3, 9, 9, 4, 9, 9, 0, 9, 9, 5, 9, 9]);

  it('gives unit vectors and the length they had', async () => {
    const faces = await embedFaces(crops, 2, reds, cardOf(false));
    expect(faces.map(({ embeddingNorm }) => embeddingNorm)).toEqual([5, 5]);
    expect(Array.from(faces[0].embedding)).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    expect(Array.from(faces[1].embedding)).toEqual([0, 1]);
  });

  it('averages each face with its mirror image where the card says so', async () => {
    const faces = await embedFaces(crops, 2, reds, cardOf(true));
    // (3, 4) and (4, 3) give (3.5, 3.5); (0, 5) and (5, 0) give (2.5, 2.5).
    expect(faces.map(({ embeddingNorm }) => embeddingNorm)).toEqual([3.5 * Math.SQRT2, 2.5 * Math.SQRT2]);
    for (const { embedding } of faces) expect(embedding[0]).toBeCloseTo(Math.SQRT1_2, 6);
  });

  it('keeps the faces in order over several runs, with their mirror images', async () => {
    const card = cardOf(true);
    const many = Uint8Array.from({ length: 5 }, (_, i) => i + 1).reduce<number[]>(
      (all, i) => [...all, i, 0, 0, 0, 0, 0],
      [],
    );
    for (const maxBatch of [1, 3, 4, 16]) {
      const batches: number[] = [];
      const session: TensorSession = {
        run: (data, dims) => {
          batches.push(dims[0]);
          return reds.run(data, dims);
        },
        release: async () => undefined,
      };
      const faces = await embedFaces(Uint8Array.from(many), 5, session, {
        ...card,
        input: { ...card.input, maxBatch },
      });
      // (i, 0) and (0, i) give (i / 2, i / 2).
      faces.forEach(({ embeddingNorm }, i) => expect(embeddingNorm).toBeCloseTo((i + 1) * Math.SQRT1_2, 6));
      expect(batches).toHaveLength(Math.ceil(10 / maxBatch));
      expect(Math.max(...batches)).toBeLessThanOrEqual(maxBatch);
    }
  });

  it('exchanges left and right within each row, not rows or colours', async () => {
    const seen: number[][] = [];
    const session: TensorSession = {
      async run(data, [batch]) {
        seen.push(Array.from(data));
        return [{ data: new Float32Array(batch * 2).fill(1), dims: [batch, 2] }];
      },
      release: async () => undefined,
    };
    const card = cardOf(true);
    const crop = Uint8Array.from({ length: 12 }, (_, i) => i);
    await embedFaces(crop, 1, session, { ...card, input: { ...card.input, height: 2 } });
    expect(seen).toEqual([[...crop, 3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]]);
    expect(Array.from(crop)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });

  it('runs without mirror images where the card has none', async () => {
    const batches: number[] = [];
    const session: TensorSession = {
      run: (data, dims) => {
        batches.push(dims[0]);
        return reds.run(data, dims);
      },
      release: async () => undefined,
    };
    await embedFaces(crops, 2, session, cardOf(false));
    expect(batches).toEqual([2]);
  });

  it.each([NaN, Infinity, -Infinity])('refuses a vector with %d', async (value) => {
    const session: TensorSession = {
      run: async () => [{ data: Float32Array.from([1, value]), dims: [1, 2] }],
      release: async () => undefined,
    };
    await expect(embedFaces(new Uint8Array(6), 1, session, cardOf(false))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
      message: expect.stringContaining('fake'),
    });
  });

  it('refuses a vector that its mirror image cancels', async () => {
    const session: TensorSession = {
      run: async () => [{ data: Float32Array.from([1, 2, -1, -2]), dims: [2, 2] }],
      release: async () => undefined,
    };
    await expect(embedFaces(new Uint8Array(6), 1, session, cardOf(true))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
    });
  });

  it('refuses a vector without direction', async () => {
    await expect(embedFaces(new Uint8Array(6), 1, reds, cardOf(false))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
    });
  });
});

/** ArcFace's template, moved, turned and enlarged: where the landmarks of a face in a picture could be. */
const template: Landmarks = [
  { x: 38.2946, y: 51.6963 },
  { x: 73.5318, y: 51.5014 },
  { x: 56.0252, y: 71.7366 },
  { x: 41.5493, y: 92.3655 },
  { x: 70.7299, y: 92.2041 },
];

describe(alignFaces.name, () => {
  it('brings the landmarks of a turned face onto the template', () => {
    const place = { a: 1.5, b: 0.6, tx: 80, ty: 20 };
    const landmarks = template.map((point) => applySimilarity(place, point)) as unknown as Landmarks;
    const image = { data: new Uint8Array(300 * 300 * 3), width: 300, height: 300 };
    for (const { x, y } of landmarks) {
      for (let dy = -2; dy <= 2; dy++) {
        const row = (Math.round(y) + dy) * 300;
        image.data.fill(255, (row + Math.round(x) - 2) * 3, (row + Math.round(x) + 3) * 3);
      }
    }
    const aligned = alignFaces(image, [{ landmarks }], 'arcface-112', 112);
    const at = (x: number, y: number) => aligned[(Math.round(y) * 112 + Math.round(x)) * 3];
    for (const { x, y } of template) {
      expect(at(x, y)).toBeGreaterThan(200);
      expect(at(x + 5, y + 5)).toBe(0);
    }
  });

  it('aligns a mean face alike by five points and by all', () => {
    const ramp = Uint8Array.from({ length: 200 * 200 * 3 }, (_, i) => Math.floor(i / 3) % 200);
    const image = { data: ramp, width: 200, height: 200 };
    const points = meanFace().map((point) => applySimilarity({ a: 100, b: 20, tx: 50, ty: 40 }, point));
    const landmarks = fiveOf68(points);
    const byFive = alignFaces(image, [{ landmarks }], 'dlib-150', 150);
    const byAll = alignFaces(image, [{ landmarks, landmarks68: points }], 'dlib-150', 150);
    const difference = byFive.reduce((sum, value, i) => sum + Math.abs(value - byAll[i]), 0) / byFive.length;
    expect(difference).toBeLessThan(2);
  });
});

/** 68 points of which those that dlib aligns on lie where they lie in its mean face; taken from the chip's own fit. */
function meanFace(): Point[] {
  const eye = (x: number): Point[] =>
    [
      [-0.07, 0.01],
      [-0.004, -0.028],
      [0.074, -0.027],
      [0.143, 0.025],
      [0.07, 0.038],
      [-0.009, 0.037],
    ].map(([dx, dy]) => ({ x: x + dx, y: 0.206 + dy }));
  const points: Point[] = Array.from({ length: 68 }, () => ({ x: 0.49, y: 0.5 }));
  eye(0.192).forEach((point, i) => (points[36 + i] = point));
  eye(0.716).forEach((point, i) => (points[42 + i] = point));
  [0.203352, 0.307009, 0.409805, 0.515625].forEach((y, i) => (points[27 + i] = { x: 0.490127, y }));
  [0.36688, 0.426036, 0.490127, 0.554217, 0.613373].forEach(
    (x, i) => (points[31 + i] = { x, y: [0.587326, 0.609345, 0.628106, 0.609345, 0.587326][i] }),
  );
  const mouth: [number, number, number][] = [
    [48, 0.254149, 0.780233],
    [49, 0.340985, 0.745405],
    [50, 0.428858, 0.727388],
    [51, 0.490127, 0.742578],
    [52, 0.551395, 0.727388],
    [53, 0.639268, 0.745405],
    [54, 0.726104, 0.780233],
    [60, 0.290379, 0.784792],
    [61, 0.428096, 0.778746],
    [62, 0.490127, 0.785343],
    [63, 0.552157, 0.778746],
    [64, 0.689874, 0.784792],
  ];
  for (const [i, x, y] of mouth) points[i] = { x, y };
  return points;
}

describe(findLandmarks68.name, () => {
  const image = { data: new Uint8Array(300 * 300 * 3), width: 300, height: 300 };
  const input = { ...cardOf(false).input, width: 112, height: 112 };
  const box = { x: 50, y: 60, width: 100, height: 100 };

  /** Answers every crop with the mean face, rolled by `angles[run]`, in the middle of the crop. */
  function session(angles: number[]): TensorSession & { batches: number[] } {
    return {
      batches: [],
      async run(_data, [batch]) {
        const angle = angles[this.batches.length];
        this.batches.push(batch);
        const face = meanFace().flatMap(({ x, y }) => {
          const [dx, dy] = [(x - 0.5) / 2, (y - 0.5) / 2];
          const turned = [
            dx * Math.cos(angle) - dy * Math.sin(angle),
            dx * Math.sin(angle) + dy * Math.cos(angle),
          ];
          return [0.5 + turned[0], 0.5 + turned[1]];
        });
        return [
          { data: Float32Array.from(Array.from({ length: batch }, () => face).flat()), dims: [batch, 136] },
        ];
      },
      release: async () => undefined,
    };
  }

  it('looks once at upright faces, and puts the points into the box', async () => {
    const upright = session([0]);
    const [points] = await findLandmarks68(image, [box], upright, input);
    expect(upright.batches).toEqual([1]);
    const expected = {
      x: 50 + 100 * (0.5 + (0.490127 - 0.5) / 2),
      y: 60 + 100 * (0.5 + (0.515625 - 0.5) / 2),
    };
    expect(points[30].x).toBeCloseTo(expected.x - 0.5, 3);
    expect(points[30].y).toBeCloseTo(expected.y - 0.5, 3);
  });

  it('looks again at rolled faces alone, at the uprighted square', async () => {
    const angle = Math.PI / 5;
    const rolled = session([angle, 0]);
    const found = await findLandmarks68(image, [box, { ...box, x: 120 }], rolled, input);
    expect(rolled.batches).toEqual([2, 2]);
    const [left, right] = fiveOf68(found[0]);
    // The second look saw an upright face in a turned square: in the image it is turned.
    expect(Math.atan2(right.y - left.y, right.x - left.x)).toBeCloseTo(angle, 2);
  });

  it('takes the eyes, the nose tip and the mouth corners out of 68', () => {
    const points = Array.from({ length: 68 }, (_, i) => ({ x: i, y: 2 * i }));
    expect(fiveOf68(points)).toEqual([
      { x: 38.5, y: 77 },
      { x: 44.5, y: 89 },
      { x: 30, y: 60 },
      { x: 48, y: 96 },
      { x: 54, y: 108 },
    ]);
  });
});
