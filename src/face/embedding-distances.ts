import { compareEmbeddings, type NormedEmbedding } from '../pipeline/embed/compare-embeddings';
import type { Metric } from '../pipeline/face.types';
import { nextTurn } from '../turns';

/** Multiplications in one turn of the event loop, about a millisecond, so that other requests are served between them. */
const SLICE = 1 << 20;

/** A row for each probe with a column for each reference. */
export interface EmbeddingDistances {
  /** In the unit of the metric. */
  distances: number[][];
  /** Cosine, [-1, 1]. */
  similarities: number[][];
}

/** Compares each probe with each reference (N x M), on the calling thread, in slices. */
export async function embeddingDistances(
  probes: readonly NormedEmbedding[],
  references: readonly NormedEmbedding[],
  metric: Metric,
): Promise<EmbeddingDistances> {
  const result: EmbeddingDistances = { distances: [], similarities: [] };
  let multiplications = 0;
  for (const probe of probes) {
    const distances: number[] = [];
    const similarities: number[] = [];
    for (const reference of references) {
      const { distance, similarity } = compareEmbeddings(probe, reference, metric);
      distances.push(distance);
      similarities.push(similarity);
      multiplications += 3 * probe.embedding.length;
      if (multiplications < SLICE) continue;
      multiplications = 0;
      await nextTurn();
    }
    result.distances.push(distances);
    result.similarities.push(similarities);
  }
  return result;
}
