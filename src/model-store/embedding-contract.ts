import { createHash } from 'node:crypto';
import type { ModelCard } from './model-card';

/** Raised whenever alignment or warping changes what an embedding of the same image comes out as. */
const ALIGNMENT_VERSION = 1;

/**
 * Short hash over all that an embedding depends on: weights, preprocessing, alignment, normalisation.
 * Embeddings can be compared only where it is equal.
 *
 * @returns 12 hexadecimal digits.
 */
export function embeddingContract(card: ModelCard): string {
  const { width, height, colorOrder, mean, std } = card.input;
  const parts = [
    card.sha256,
    [width, height, colorOrder, mean, std],
    [card.family, ALIGNMENT_VERSION],
    [card.embedding?.dimensions, card.embedding?.mirrorAverage],
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}
