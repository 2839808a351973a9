import { cardInput } from '../../test/support/card-input';
import type { CardInput } from '../models/model-card';
import { toInputTensor } from './input-tensor';
import { runBatch } from './run-batch';
import type { TensorSession } from './tensor-session';

const input = (extra: Partial<CardInput>) =>
  cardInput(2, 1, { layout: 'NCHW', dtype: 'float32', maxBatch: 2, ...extra });
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

  it('exchanges red and blue, and normalizes in the order of the card', () => {
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

  it.each([
    ['uint8', 'NHWC', Uint8Array, [3, 2, 1, 6, 5, 4]],
    ['uint8', 'NCHW', Uint8Array, [3, 6, 2, 5, 1, 4]],
    ['float32', 'NCHW', Float32Array, [3, 6, 2, 5, 1, 4]],
  ] as const)('gives %s %s in BGR as the type of the graph', (dtype, layout, type, expected) => {
    const { data } = toInputTensor(pixels, 1, 2, 1, input({ dtype, layout, colorOrder: 'BGR' }));
    expect(data).toBeInstanceOf(type);
    expect(Array.from(data)).toEqual(expected);
  });

  it('normalizes NHWC as well, channel by channel', () => {
    const { data, dims } = toInputTensor(
      pixels,
      2,
      2,
      1,
      input({ layout: 'NHWC', mean: [1, 2, 3], std: [1, 2, 4] }),
    );
    expect(data).toBeInstanceOf(Float32Array);
    expect(Array.from(data)).toEqual([0, 0, 0, 3, 1.5, 0.75, 6, 3, 1.5, 9, 4.5, 2.25]);
    expect(dims).toEqual([2, 1, 2, 3]);
  });

  it('standardises each image by itself, over all of its channels', () => {
    const given = { standardize: 'image', layout: 'NHWC', colorOrder: 'BGR' } as const;
    const { data } = toInputTensor(pixels, 2, 2, 1, input(given));
    // 1 to 6: mean 3.5, mean of the squared differences 35 / 12 (of all, and not of all but one). BGR.
    const first = [3, 2, 1, 6, 5, 4].map((value) => Math.fround((value - 3.5) / Math.sqrt(35 / 12)));
    Array.from(data.subarray(0, 6)).forEach((value, i) => expect(value).toBeCloseTo(first[i], 6));
    // 7 to 12 have the same differences.
    Array.from(data.subarray(6)).forEach((value, i) => expect(value).toBeCloseTo(first[i], 6));
  });

  it('standardises an image of one value to 0', () => {
    const { data } = toInputTensor(new Uint8Array(6).fill(77), 1, 2, 1, input({ standardize: 'image' }));
    expect(Array.from(data)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each(['NHWC', 'NCHW'] as const)('makes gray of colors, %s', (layout) => {
    const colors = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 10, 10]);
    const { data, dims } = toInputTensor(
      colors,
      2,
      2,
      1,
      input({ layout, channels: 1, mean: [0], std: [255] }),
    );
    expect(dims).toEqual(layout === 'NHWC' ? [2, 1, 2, 1] : [2, 1, 1, 2]);
    const expected = [0.299, 0.587, 0.114, 10 / 255];
    Array.from(data).forEach((value, i) => expect(value).toBeCloseTo(expected[i], 6));
    const bytes = toInputTensor(
      colors,
      2,
      2,
      1,
      input({ layout, channels: 1, mean: [0], std: [1], dtype: 'uint8' }),
    );
    expect(Array.from(bytes.data)).toEqual([76, 150, 29, 10]);
  });

  it('keeps rows apart where width and height differ', () => {
    const column = toInputTensor(pixels, 1, 1, 4, input({ width: 1, height: 4 }));
    expect(column.dims).toEqual([1, 3, 4, 1]);
    expect(Array.from(column.data)).toEqual([1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12]);
  });
});

describe(runBatch.name, () => {
  it('makes as few runs as the largest batch allows, and puts their rows together', async () => {
    const batches: number[] = [];
    const session: TensorSession = {
      // Returns the first value of each crop.
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

  it('puts every output together on its own, rows in the order of the crops', async () => {
    const session: TensorSession = {
      // The sums of the planes, and the last value twice over two axes.
      async run(data, dims) {
        const crops = Array.from({ length: dims[0] }, (_, i) => Array.from(data.subarray(i * 6, i * 6 + 6)));
        const sums = crops.flatMap((crop) => [0, 2, 4].map((at) => crop[at] + crop[at + 1]));
        const last = crops.flatMap((crop) => [crop[5], crop[5]]);
        return [
          { data: Float32Array.from(sums), dims: [dims[0], 3] },
          { data: Float32Array.from(last), dims: [dims[0], 2, 1] },
        ];
      },
      release: async () => undefined,
    };
    const crops = Uint8Array.from({ length: 3 * 6 }, (_, i) => i);
    for (const maxBatch of [1, 2, 3, 8]) {
      const outputs = await runBatch(session, input({ maxBatch }), crops, 3);
      expect(outputs.map(({ data, dims }) => ({ data: Array.from(data), dims }))).toEqual([
        { data: [3, 5, 7, 15, 17, 19, 27, 29, 31], dims: [3, 3] },
        { data: [5, 5, 11, 11, 17, 17], dims: [3, 2, 1] },
      ]);
    }
  });

  it('fails where a run fails, without further runs', async () => {
    let runs = 0;
    const session: TensorSession = {
      run() {
        return ++runs === 2
          ? Promise.reject(new Error('out of memory'))
          : Promise.resolve([{ data: new Float32Array(1), dims: [1, 1] }]);
      },
      release: async () => undefined,
    };
    await expect(runBatch(session, input({ maxBatch: 1 }), new Uint8Array(24), 4)).rejects.toThrow(
      'out of memory',
    );
    expect(runs).toBe(2);
  });
});
