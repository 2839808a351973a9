import { flushTinyWeights } from './tiny-weights';

const bytesOf = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe(flushTinyWeights.name, () => {
  it('sets values below 1e-20 to 0, of both signs, and changes no other', () => {
    const values = [1, 9e-21, -9e-21, 1e-40, -1.4e-45, 1.1e-20, -1.1e-20, 0, -0, NaN, Infinity];
    const bytes = bytesOf(...values);
    const before = bytes.slice();
    const flushed = flushTinyWeights(bytes);
    expect(bytes).toEqual(before);
    expect(flushed).toEqual(bytesOf(1, 0, 0, 0, 0, ...values.slice(5)));
  });

  it('gives the same array where there is nothing to change', () => {
    for (const bytes of [bytesOf(), bytesOf(1, 0, -0, 2e-20)]) expect(flushTinyWeights(bytes)).toBe(bytes);
  });

  it('works at any offset of a larger buffer, and leaves a rest that is no whole value', () => {
    const bytes = new Uint8Array([7, ...bytesOf(2, 1e-30), 1, 0, 0]).subarray(1);
    expect(flushTinyWeights(bytes)).toEqual(new Uint8Array([...bytesOf(2, 0), 1, 0, 0]));
  });
});
