import type { CardInput } from '../../models/model-card';
import { NORMALIZATIONS, normalized } from './normalizations';

const input: CardInput = {
  width: 160,
  height: 160,
  layout: 'NCHW',
  dtype: 'float32',
  colorOrder: 'BGR',
  mean: [0, 0, 0],
  std: [255, 255, 255],
  maxBatch: 1,
};

describe(normalized.name, () => {
  /** Normalization in DeepFace of a blue, green or red value of 0 to 255. */
  it.each([
    ['base', (v: number) => v / 255],
    ['raw', (v: number) => v],
    ['Facenet2018', (v: number) => v / 127.5 - 1],
    ['VGGFace', (v: number, c: number) => v - [93.594, 104.7624, 129.1863][c]],
    ['VGGFace2', (v: number, c: number) => v - [91.4953, 103.8827, 131.0912][c]],
    ['ArcFace', (v: number) => (v - 127.5) / 128],
  ] as const)('%s', (name, expected) => {
    const { mean, std, standardize } = normalized(input, name);
    expect(standardize).toBeUndefined();
    for (const channel of [0, 1, 2]) {
      for (const value of [0, 100, 255]) {
        expect((value - mean[channel]) / std[channel]).toBeCloseTo(expected(value, channel), 10);
      }
    }
  });

  it('Facenet, over the whole image', () => {
    expect(normalized(input, 'Facenet')).toMatchObject({
      mean: [0, 0, 0],
      std: [1, 1, 1],
      standardize: 'image',
    });
  });

  it('keeps the rest of the input and leaves the table alone', () => {
    const result = normalized(input, 'ArcFace');
    expect(result).toMatchObject({ width: 160, height: 160, colorOrder: 'BGR' });
    result.mean[0] = 0;
    expect(NORMALIZATIONS.ArcFace.mean[0]).toBe(127.5);
  });
});
