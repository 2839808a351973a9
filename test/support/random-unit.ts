import { seededRange } from './seeded-random';

/** Makes unit vectors, Float32Array [D], that are the same on every run. */
export function unitVectors(seed: number, dimensions: number): () => Float32Array {
  const range = seededRange(seed);
  return () => unit(Array.from({ length: dimensions }, () => range(-1, 1)));
}

/** The unit vector of this direction. */
export function unit(values: readonly number[]): Float32Array {
  const norm = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / norm);
}

/** Cosine of two unit vectors, to single precision. */
export function cosine(a: Float32Array, b: Float32Array): number {
  return Math.fround(a.reduce((sum, value, i) => sum + value * b[i], 0));
}
