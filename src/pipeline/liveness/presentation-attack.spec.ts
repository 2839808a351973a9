import type { ModelCard, PresentationClass } from '../../models/model-card';
import type { Landmarks } from '../face.types';
import { type AttackModel, contextCrop, judgePresentations } from './presentation-attack';
import type { OutputTensor } from '../tensor-session';

const LANDMARKS = Array(5).fill({ x: 0, y: 0 }) as unknown as Landmarks;
const SIDE = 4;

describe(contextCrop.name, () => {
  const image = { width: 400, height: 300 };

  it.each([
    [
      'a square of the longer side, about the middle',
      { x: 180, y: 120, width: 20, height: 40 },
      2,
      [150, 100, 81, 81],
    ],
    ['the same of a wide box', { x: 170, y: 130, width: 40, height: 20 }, 2, [150, 100, 81, 81]],
    ['moved in from the left and the top', { x: 0, y: 0, width: 40, height: 40 }, 2, [0, 0, 81, 81]],
    [
      'moved in from the right and the bottom',
      { x: 360, y: 260, width: 40, height: 40 },
      2,
      [319, 219, 81, 81],
    ],
    [
      'moved in for a box that leaves the image',
      { x: -30, y: 280, width: 40, height: 40 },
      2,
      [0, 219, 81, 81],
    ],
    ['as high as the image', { x: 150, y: 100, width: 100, height: 100 }, 4, [50, 0, 300, 300]],
    ['no larger than the face', { x: 50, y: 0, width: 299, height: 299 }, 2.7, [50, 0, 300, 300]],
  ])('is %s', (_, box, scale, [x, y, width, height]) => {
    expect(contextCrop(image, box, scale)).toEqual({ x, y, width, height });
  });

  it.each([
    ['the face is larger than the image', { x: 0, y: 0, width: 200, height: 301 }],
    ['there is no face', { x: 0, y: 0, width: NaN, height: NaN }],
    ['it is infinite', { x: 0, y: 0, width: Infinity, height: 10 }],
  ])('is null where %s', (_, box) => {
    expect(contextCrop(image, box, 2.7)).toBeNull();
  });

  it('stays inside of any image, around any box', () => {
    for (let width = 2; width < 40; width += 3) {
      for (let x = -20; x < 50; x += 7) {
        const crop = contextCrop({ width, height: 30 }, { x, y: 3.3, width: 5.5, height: 4.2 }, 2.7);
        if (crop == null) continue;
        expect(crop.x).toBeGreaterThanOrEqual(0);
        expect(crop.x + crop.width).toBeLessThanOrEqual(width);
        expect(crop.y + crop.height).toBeLessThanOrEqual(30);
      }
    }
  });
});

/** A model whose scores are `scoresOf` of the mean red of each crop. */
function model(
  labels: PresentationClass[],
  scoresOf: (red: number) => number[],
  { scale = 2, minRealScore = 0.5 } = {},
): AttackModel & { batches: number[] } {
  const batches: number[] = [];
  const card = {
    input: {
      width: SIDE,
      height: SIDE,
      layout: 'NHWC',
      dtype: 'uint8',
      colorOrder: 'RGB',
      mean: [0, 0, 0],
      std: [1, 1, 1],
      maxBatch: 16,
    },
    presentationAttack: { scale, minRealScore, labels },
  } as unknown as ModelCard;
  const run = (data: Uint8Array | Float32Array, dims: readonly number[]): Promise<OutputTensor[]> => {
    batches.push(dims[0]);
    const pixels = SIDE * SIDE;
    const scores = Array.from({ length: dims[0] }, (_, face) => {
      let red = 0;
      for (let i = 0; i < pixels; i++) red += data[(face * pixels + i) * 3] / pixels;
      return scoresOf(red);
    });
    return Promise.resolve([{ data: Float32Array.from(scores.flat()), dims: [dims[0], labels.length] }]);
  };
  return { card, session: { run } as unknown as AttackModel['session'], batches };
}

/** Left half dark, right half bright red. */
function halves() {
  const [width, height] = [80, 40];
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data[i * 3] = i % width < 40 ? 0 : 250;
  return { data, width, height };
}

const face = (x: number, landmarks: Landmarks | null = LANDMARKS) => ({
  box: { x, y: 15, width: 10, height: 10 },
  landmarks,
});
const DARK = face(10);
const BRIGHT = face(60);

describe(judgePresentations.name, () => {
  const labels: PresentationClass[] = ['print_or_screen', 'real', 'mask'];
  const byRed = (red: number) => [0.3 * (1 - red / 250), red / 250, 0.7 * (1 - red / 250)];

  it('labels each face by the score of its own crop, in one run', async () => {
    const one = model(labels, byRed);
    const answers = await judgePresentations(halves(), [BRIGHT, DARK], [one]);
    expect(answers).toEqual([
      { score: 1, label: 'real' },
      { score: 0, label: 'mask' },
    ]);
    expect(one.batches).toEqual([2]);
  });

  it('is real at the score of the card, and not under it', async () => {
    const at = (minRealScore: number) =>
      judgePresentations(
        halves(),
        [DARK],
        [model(['real', 'print_or_screen'], () => [0.25, 0.75], { minRealScore })],
      );
    expect(await at(0.25)).toEqual([{ score: 0.25, label: 'real' }]);
    expect(await at(0.26)).toEqual([{ score: 0.25, label: 'print_or_screen' }]);
  });

  it('adds up what a card calls the same', async () => {
    const twice = model(['print_or_screen', 'real', 'print_or_screen', 'mask'], () => [0.25, 0, 0.25, 0.375]);
    expect(await judgePresentations(halves(), [DARK], [twice])).toEqual([
      { score: 0, label: 'print_or_screen' },
    ]);
  });

  it('takes the mean of several models, and of what their cards ask for', async () => {
    const sure = model(['real', 'mask'], () => [1, 0], { minRealScore: 0.25 });
    const unsure = model(['print_or_screen', 'real'], () => [0.5, 0.5], { minRealScore: 0.5 });
    const against = model(['print_or_screen', 'real'], () => [1, 0], { minRealScore: 0.75 });
    expect(await judgePresentations(halves(), [DARK], [sure, unsure])).toEqual([
      { score: 0.75, label: 'real' },
    ]);
    expect(await judgePresentations(halves(), [DARK], [against, unsure])).toEqual([
      { score: 0.25, label: 'print_or_screen' },
    ]);
  });

  it('runs nothing for faces without context, and keeps the order of the others', async () => {
    const one = model(labels, byRed);
    const huge = { ...DARK, box: { x: 0, y: 0, width: 60, height: 60 } };
    const none = { score: null, label: 'insufficient_context' };
    const answers = await judgePresentations(halves(), [huge, BRIGHT, face(10, null), DARK], [one]);
    expect(answers).toEqual([none, { score: 1, label: 'real' }, none, { score: 0, label: 'mask' }]);
    expect(one.batches).toEqual([2]);
    expect(await judgePresentations(halves(), [huge], [one])).toEqual([none]);
    expect(one.batches).toEqual([2]);
  });
});
