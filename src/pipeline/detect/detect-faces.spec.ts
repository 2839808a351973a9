import { cardInput } from '../../../test/support/card-input';
import type { CardInput, DetectionPass, ModelCard } from '../../model-store/model-card';
import type { TensorSession } from '../tensor-session';
import { detectFaces } from './detect-faces';

const input = (extra: Partial<CardInput> = {}) => cardInput(64, 64, extra);
const white = (width: number, height: number) => ({
  data: new Uint8Array(width * height * 3).fill(255),
  width,
  height,
});
const pass = (border: number, minDetectionScore = 0.5): DetectionPass => ({ border, minDetectionScore });

describe(detectFaces.name, () => {
  const card = (passes: DetectionPass[]) =>
    ({
      name: 'ssd',
      family: 'ssd-mobilenet',
      input: input(),
      detection: { passes, nmsIou: 0.5, enlarge: true },
    }) as unknown as ModelCard;

  /** Answers each run with one box, in fractions of the canvas, and the score of that run. */
  function session(scores: number[]): TensorSession & { runs: number } {
    return {
      runs: 0,
      async run() {
        const score = scores[this.runs++];
        return [
          { data: new Float32Array([0.25, 0.25, 0.5, 0.75]), dims: [1, 1, 4] },
          { data: new Float32Array([score]), dims: [1, 1] },
        ];
      },
      release: async () => undefined,
    };
  }

  it('stops at the first pass that finds a face', async () => {
    const sessions = session([0.4, 0.7, 0.9]);
    const found = await detectFaces(white(64, 64), sessions, card([pass(0), pass(0.5, 0.6), pass(1)]));
    expect(sessions.runs).toBe(2);
    expect(found).toHaveLength(1);
    expect(found[0].detectionScore).toBeCloseTo(0.7);
  });

  it('finds none after the last pass', async () => {
    const sessions = session([0.4, 0.4]);
    expect(await detectFaces(white(64, 64), sessions, card([pass(0), pass(1)]))).toEqual([]);
    expect(sessions.runs).toBe(2);
  });

  it('lets the caller set the score of every pass', async () => {
    expect(await detectFaces(white(64, 64), session([0.4]), card([pass(0)]), 0.3)).toHaveLength(1);
    expect(await detectFaces(white(64, 64), session([0.6, 0.6]), card([pass(0), pass(1)]), 0.7)).toEqual([]);
  });

  it('gives boxes in pixels of the image, border and scale undone', async () => {
    // 128 x 128 with a border of half: the image is 32 pixels wide on the canvas, from pixel 16 on.
    const [{ box }] = await detectFaces(white(128, 128), session([0.9]), card([pass(0.5)]));
    expect(box).toEqual({ x: 0, y: 0, width: 128, height: 64 });
  });

  it('shows each pass the image with its own border, in order', async () => {
    const seen: number[] = [];
    const blind: TensorSession = {
      async run(data, dims) {
        expect(dims).toEqual([1, 64, 64, 3]);
        seen.push(Array.from(data).filter((value) => value === 255).length / 3);
        return [
          { data: new Float32Array(4), dims: [1, 1, 4] },
          { data: new Float32Array(1), dims: [1, 1] },
        ];
      },
      release: async () => undefined,
    };
    expect(await detectFaces(white(128, 128), blind, card([pass(0.5), pass(0), pass(1.5)]))).toEqual([]);
    expect(seen).toEqual([32 ** 2, 64 ** 2, 16 ** 2]);
  });

  it('takes a score of 0 from the caller, where the card asks for more', async () => {
    expect(await detectFaces(white(64, 64), session([0]), card([pass(0)]), 0)).toHaveLength(1);
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
    const faces = await detectFaces(white(256, 128), scrfd, {
      name: 'scrfd',
      family: 'scrfd',
      input: input({ layout: 'NCHW', dtype: 'float32', multipleOf: 32 }),
      detection: { passes: [pass(0)], nmsIou: 0.4, enlarge: false, strides: [32] },
    } as unknown as ModelCard);
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
});
