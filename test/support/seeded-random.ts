/**
 * A seed that differs from run to run. The title of every test that uses it shows it, and SEED in the environment repeats the run.
 */
export const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Numbers in [0, 1) that are the same on every run, for property-style specs. */
export function seededRandom(seed: number): () => number {
  // mulberry32: a full 32-bit state, good enough for test data.
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** As {@link seededRandom}, in [low, high). */
export function seededRange(seed: number): (low: number, high: number) => number {
  const random = seededRandom(seed);
  return (low, high) => low + random() * (high - low);
}

/** Bytes that are the same on every run, and do not compress. */
export function seededBytes(seed: number, length: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random() * 256));
}
