import { FaceError } from '../../errors';
import type { Metric } from '../face.types';

/** A unit vector with its original length. */
export interface NormedEmbedding {
  /** `Float32Array [D]`, unit length. */
  embedding: Float32Array;
  /** Length of the raw vector. */
  norm: number;
}

/**
 * Normalizes a vector to unit length.
 *
 * @throws {FaceError} EMBEDDING_INVALID for a wrong length, a non-finite value or zero norm; the error never contains
 * the values.
 */
export function assertEmbedding(
  values: ArrayLike<number>,
  dimensions: number,
): { unit: Float32Array; norm: number } {
  if (values.length !== dimensions) {
    throw new FaceError(
      'EMBEDDING_INVALID',
      `Expected ${dimensions} numbers for embedding but received ${values.length}.`,
      { expectedLength: dimensions, receivedLength: values.length },
    );
  }
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  const norm = Math.sqrt(sum);
  if (!Number.isFinite(norm) || norm === 0) {
    throw new FaceError(
      'EMBEDDING_INVALID',
      'Expected finite numbers and a length greater than zero for embedding.',
    );
  }
  const unit = new Float32Array(dimensions);
  for (let i = 0; i < dimensions; i++) unit[i] = values[i] / norm;
  return { unit, norm };
}

/**
 * Distance of two embeddings, and their cosine similarity.
 *
 * cosine = 1 - cos, [0, 2]; euclidean = |a - b| on the raw vectors; euclidean_l2 = the same on unit vectors, [0, 2];
 * angular = arccos(cos) / pi, [0, 1], with cos clipped to [-1, 1] so that equal vectors give 0 instead of NaN.
 *
 * @see DeepFace modules/verification.py for the four names; peers.md 3.4. Differs: the clipping.
 */
export function compareEmbeddings(
  a: NormedEmbedding,
  b: NormedEmbedding,
  metric: Metric,
): { distance: number; similarity: number } {
  let dot = 0;
  let squaredA = 0;
  let squaredB = 0;
  for (let i = 0; i < a.embedding.length; i++) {
    dot += a.embedding[i] * b.embedding[i];
    squaredA += a.embedding[i] * a.embedding[i];
    squaredB += b.embedding[i] * b.embedding[i];
  }
  // Unit vectors in float32 are off by up to 1e-7: dividing makes the distance of an embedding to itself exactly 0, so
  // that a threshold of 0 works.
  const similarity = Math.min(1, Math.max(-1, dot / Math.sqrt(squaredA * squaredB)));
  return { distance: distanceFromCosine(similarity, a.norm, b.norm, metric), similarity };
}

function distanceFromCosine(cos: number, normA: number, normB: number, metric: Metric): number {
  switch (metric) {
    case 'cosine':
      return 1 - cos;
    case 'euclidean':
      return Math.sqrt(Math.max(0, normA * normA + normB * normB - 2 * normA * normB * cos));
    case 'euclidean_l2':
      return Math.sqrt(Math.max(0, 2 - 2 * cos));
    case 'angular':
      return Math.acos(cos) / Math.PI;
  }
}

/**
 * Thresholds of the metrics that follow exactly from a cosine threshold (both are monotone in the angle).
 * `euclidean` does not: it depends on the lengths of the raw vectors.
 */
export function thresholdsFromCosine(maxCosineDistance: number): { euclidean_l2: number; angular: number } {
  const cos = 1 - maxCosineDistance;
  return {
    euclidean_l2: distanceFromCosine(cos, 1, 1, 'euclidean_l2'),
    angular: distanceFromCosine(cos, 1, 1, 'angular'),
  };
}

/**
 * Minimum cosine of a vector within a distance of one of length `norm`, [-1, 1]. For `euclidean`, it holds for any
 * length of the vector: the closest point on a ray at angle a is norm * sin(a) away, and at least norm beyond a right
 * angle.
 */
export function leastSimilarityWithin(maxDistance: number, norm: number, metric: Metric): number {
  switch (metric) {
    case 'cosine':
      return Math.max(-1, 1 - maxDistance);
    case 'euclidean':
      return maxDistance < norm ? Math.sqrt(1 - (maxDistance / norm) ** 2) : -1;
    case 'euclidean_l2':
      return Math.max(-1, 1 - maxDistance ** 2 / 2);
    case 'angular':
      return Math.cos(Math.PI * Math.min(1, maxDistance));
  }
}
