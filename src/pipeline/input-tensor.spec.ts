import type { CardInput } from '../model-store/model-card';
import { runBatch, toInputTensor } from './input-tensor';
import type { TensorSession } from './tensor-session';

const input = (extra: Partial<CardInput>): CardInput => ({
  width: 2,
  height: 1,
  layout: 'NCHW',
  dtype: 'float32',
  colorOrder: 'RGB',
  mean: [0, 0, 0],
  std: [1, 1, 1],
  maxBatch: 2,
  ...extra,
});
/** Two crops of two pixels. */
const pixels = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

describe(toInputTensor.name, () => {
  it('hands uint8 NHWC RGB on as it is', () => {
    const { data, dims } = toInputTensor(pixels, 2, 2, 1, input({ layout: 'NHWC', dtype: 'uint8' }));
    expect(data).toBe(pixels);
    expect(dims).toEqual([2, 1, 2, 3]);
  });

  it('takes planes apart, crop by crop', () => {
    const { data, dims } = toInputTensor(pixels, 2, 2, 1, input({}));
    expect(Array.from(data)).toEqual([1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]);
    expect(dims).toEqual([2, 3, 1, 2]);
  });

  it('exchanges red and blue, and normalises in the order of the card', () => {
    const { data } = toInputTensor(
      pixels,
      1,
      2,
      1,
      input({ colorOrder: 'BGR', mean: [1, 0, 0], std: [2, 1, 10] }),
    );
    expect(Array.from(data)).toEqual([1, 2.5, 2, 5, Math.fround(0.1), Math.fround(0.4)]);
    const nhwc = toInputTensor(pixels, 1, 2, 1, input({ colorOrder: 'BGR', layout: 'NHWC' }));
    expect(Array.from(nhwc.data)).toEqual([3, 2, 1, 6, 5, 4]);
  });
});

describe(runBatch.name, () => {
  it('makes as few runs as the largest batch allows, and puts their rows together', async () => {
    const batches: number[] = [];
    const session: TensorSession = {
      // Answers each crop with its first value.
      async run(data, dims) {
        batches.push(dims[0]);
        const size = data.length / dims[0];
        const first = Float32Array.from({ length: dims[0] }, (_, i) => data[i * size]);
        return [{ data: first, dims: [dims[0], 1] }];
      },
      release: async () => undefined,
    };
    const crops = Uint8Array.from({ length: 5 * 6 }, (_, i) => i);
    const [output] = await runBatch(session, input({ maxBatch: 2 }), crops, 5);
    expect(batches).toEqual([2, 2, 1]);
    expect(Array.from(output.data)).toEqual([0, 6, 12, 18, 24]);
    expect(output.dims).toEqual([5, 1]);
  });
});
