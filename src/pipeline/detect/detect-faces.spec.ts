import { cardInput } from '../../../test/support/card-input';
import type { CardInput, DetectionPass, ModelCard } from '../../models/model-card';
import type { TensorSession } from '../tensor-session';
import { Detector } from './detect-faces';

const input = (extra: Partial<CardInput> = {}) => cardInput(64, 64, extra);
const white = (width: number, height: number) => ({
  data: new Uint8Array(width * height * 3).fill(255),
  width,
  height,
});
const pass = (border: number, minDetectionScore = 0.5): DetectionPass => ({ border, minDetectionScore });

/** A face on the canvas of one run, in fractions: [top, left, bottom, right], and its score. */
type Found = [box: [number, number, number, number], score: number];

describe(Detector.name, () => {
  const card = (passes: DetectionPass[], extra: Partial<CardInput> = {}) =>
    ({
      name: 'ssd',
      family: 'ssd-mobilenet',
      input: input(extra),
      detection: { passes, nmsIou: 0.5, enlarge: true },
    }) as unknown as ModelCard;

  /** Returns the faces of each run. */
  function session(
    ...runs: Found[][]
  ): TensorSession & { seen: { data: Uint8Array; dims: readonly number[] }[] } {
    return {
      seen: [],
      async run(data, dims) {
        const found = runs[this.seen.length];
        this.seen.push({ data: data as Uint8Array, dims });
        return [
          { data: Float32Array.from(found.flatMap(([box]) => box)), dims: [1, found.length, 4] },
          { data: Float32Array.from(found.map(([, score]) => score)), dims: [1, found.length] },
        ];
      },
      release: async () => undefined,
    };
  }

  const middle: Found[0] = [0.25, 0.25, 0.5, 0.75];
  const only = (score: number): Found[] => [[middle, score]];

  it('has the passes of its card', () => {
    const passes = [pass(0), pass(0.5, 0.6)];
    expect(new Detector(session(), card(passes)).passes).toEqual(passes);
  });

  it('takes faces from the score of the pass on', async () => {
    const detector = new Detector(session(only(0.55), only(0.55)), card([pass(0), pass(0, 0.6)]));
    expect(await detector.detect(white(64, 64), detector.passes[0])).toHaveLength(1);
    expect(await detector.detect(white(64, 64), detector.passes[1])).toEqual([]);
  });

  it.each([
    [0.3, 0.4, 1],
    [0.7, 0.6, 0],
    [0, 0, 1],
  ])('lets the caller set the score of every pass: %d, for a face of %d', async (least, score, count) => {
    const detector = new Detector(session(only(score)), card([pass(0)]), least);
    expect(await detector.detect(white(64, 64), pass(0))).toHaveLength(count);
  });

  it('gives boxes in pixels of the image, border and scale undone', async () => {
    // 128 x 128 with a border of half: the image is 32 pixels wide on the canvas, from pixel 16 on.
    const detector = new Detector(session(only(0.9)), card([pass(0.5)]));
    const [{ box }] = await detector.detect(white(128, 128), detector.passes[0]);
    expect(box).toEqual({ x: 0, y: 0, width: 128, height: 64 });
  });

  it.each([
    [0.5, 32],
    [0, 64],
    [1.5, 16],
  ])('shows the image with the border of the pass: %d', async (border, side) => {
    const blind = session([]);
    await new Detector(blind, card([])).detect(white(128, 128), pass(border));
    const [{ data, dims }] = blind.seen;
    expect(dims).toEqual([1, 64, 64, 3]);
    expect(Array.from(data).filter((value) => value === 255)).toHaveLength(3 * side ** 2);
  });

  it('gives landmarks in pixels of the image, drops overlaps and puts the best first', async () => {
    const heads = (count: number) => [1, 4, 10].map((width) => new Float32Array(count * width));
    const scrfd: TensorSession = {
      async run(_data, dims) {
        expect(dims).toEqual([1, 3, 32, 64]);
        // Stride 32: cells at (0, 0) and (32, 0), two anchors each.
        const [scores, boxes, points] = heads(4);
        scores.set([0.6, 0.5, 0.9, 0]);
        boxes.set([0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5, 0.25, 0, 0.25, 1]);
        points.set([0.5, 0.25], 2 * 10);
        return [scores, boxes, points].map((data) => ({ data, dims: [4, data.length / 4] }));
      },
      release: async () => undefined,
    };
    const detector = new Detector(scrfd, {
      name: 'scrfd',
      family: 'scrfd',
      input: input({ layout: 'NCHW', dtype: 'float32', multipleOf: 32 }),
      detection: { passes: [pass(0)], nmsIou: 0.4, enlarge: false, strides: [32] },
    } as unknown as ModelCard);
    const faces = await detector.detect(white(256, 128), detector.passes[0]);
    // The image is shrunk by 4; of the two equal boxes the better one stays.
    expect(faces.map(({ box }) => box)).toEqual([
      { x: 96, y: 0, width: 64, height: 128 },
      { x: 0, y: 0, width: 64, height: 64 },
    ]);
    expect(faces.map(({ detectionScore }) => detectionScore)).toEqual([0.9, 0.6].map(Math.fround));
    expect(faces[0].landmarks?.slice(0, 2)).toEqual([
      { x: 192, y: 32 },
      { x: 128, y: 0 },
    ]);
  });

  describe(Detector.prototype.detectAll.name, () => {
    const flexible = card([pass(0)], { multipleOf: 32 });

    it('adds the faces that a look in more pixels finds, without parts of others', async () => {
      const large: Found = [[0, 0, 1, 0.5], 0.9];
      const again: Found = [[0, 0, 1, 0.48], 0.95];
      const part: Found = [[0.3, 0.1, 0.6, 0.2], 0.8];
      const small: Found = [[0.5, 0.75, 0.625, 0.8125], 0.7];
      const sessions = session([large], [again, part, small]);
      const faces = await new Detector(sessions, flexible).detectAll(white(256, 128), pass(0));
      expect(sessions.seen.map(({ dims }) => dims)).toEqual([
        [1, 32, 64, 3],
        [1, 128, 256, 3],
      ]);
      expect(faces.map(({ box }) => box)).toEqual([
        { x: 0, y: 0, width: 128, height: 128 },
        { x: 192, y: 64, width: 16, height: 16 },
      ]);
    });

    it('looks at a large image in at most 1280 pixels', async () => {
      const sessions = session([], []);
      await new Detector(sessions, flexible).detectAll(white(3000, 20), pass(0));
      expect(sessions.seen.map(({ dims }) => dims[2])).toEqual([64, 1280]);
    });

    it.each([
      ['the image has no more pixels', white(64, 40), flexible],
      ['the network takes one size', white(256, 128), card([pass(0)])],
    ])('looks once where %s', async (_, image, model) => {
      const sessions = session(only(0.9));
      expect(await new Detector(sessions, model).detectAll(image, pass(0))).toHaveLength(1);
      expect(sessions.seen).toHaveLength(1);
    });
  });

  describe(Detector.prototype.lookAgain.name, () => {
    // The square is 2.2 times 100 pixels wide around (90, 100), the middle of the box.
    const face = { box: { x: 40, y: 60, width: 100, height: 80 }, detectionScore: 0.6 };
    const look = (roll: number, ...found: Found[]) =>
      new Detector(session(found), card([pass(0)])).lookAgain(white(200, 200), face, (roll * Math.PI) / 180);

    it.each([0, 45, -90, 180])(
      'gives the face in the middle its place, rolled by %d degrees',
      async (roll) => {
        const again = await look(roll, [[0.25, 0.25, 0.75, 0.75], 0.9]);
        const { box, detectionScore } = again as NonNullable<typeof again>;
        expect(detectionScore).toBeCloseTo(0.9);
        [box.x, box.y, box.width, box.height].forEach((value, i) =>
          expect(value).toBeCloseTo([35, 45, 110, 110][i]),
        );
      },
    );

    it('turns the place with the face', async () => {
      // A tenth of the square below the middle: of a face that is rolled by 90 degrees, that is to the left.
      const again = await look(90, [[0.4, 0.4, 0.8, 0.6], 0.9]);
      const { box } = again as NonNullable<typeof again>;
      [box.x, box.y, box.width, box.height].forEach((value, i) =>
        expect(value).toBeCloseTo([46, 56, 44, 88][i]),
      );
    });

    it('shows the face upright', async () => {
      const image = white(200, 200);
      for (let y = 0; y < 200; y++) image.data.fill(0, y * 600, y * 600 + 270);
      const sessions = session(only(0.9));
      await new Detector(sessions, card([pass(0)])).lookAgain(image, face, Math.PI / 2);
      const [{ data }] = sessions.seen;
      // What is on the right of the image is above in the square.
      const row = (y: number) => data[(y * 64 + 32) * 3];
      expect([row(8), row(24), row(40), row(56)]).toEqual([255, 255, 0, 0]);
    });

    it('takes the largest of those that cover the middle, and no other', async () => {
      const beside: Found = [[0, 0, 0.45, 0.45], 0.99];
      const again = await look(0, beside, [[0.45, 0.45, 0.55, 0.55], 0.95], [[0.25, 0.25, 0.75, 0.75], 0.9]);
      expect(again?.box.width).toBeCloseTo(110);
      expect(await look(0, beside)).toBeUndefined();
    });

    it('compares the hundred best candidates and no more, however low the score that was asked for', async () => {
      const better = Array.from({ length: 100 }, (): Found => [[0, 0, 0.4, 0.4], 0.5]);
      const late: Found = [[0.25, 0.25, 0.75, 0.75], 0.1];
      const detector = (found: Found[]) => new Detector(session(found), card([pass(0)]), 0);
      expect(await detector([...better.slice(1), late]).lookAgain(white(200, 200), face, 0)).toBeDefined();
      expect(await detector([...better, late]).lookAgain(white(200, 200), face, 0)).toBeUndefined();
    });
  });
});
