import { createHash } from 'node:crypto';
import type { ModelCard } from './model-card';

/** Raised whenever alignment or warping changes what an embedding of the same image comes out as. */
const ALIGNMENT_VERSION = 1;

/**
 * Short hash over all that an embedding depends on: weights, preprocessing, alignment, normalization.
 * Embeddings can be compared only where it is equal.
 *
 * @param align - false for embeddings of faces that were cut out by their boxes, whatever the family.
 * @returns 12 hexadecimal digits.
 */
export function embeddingContract(card: ModelCard, align = true): string {
  const { width, height, colorOrder, mean, std, channels, standardize } = card.input;
  const parts = [
    card.sha256,
    // What a card does not have leaves no trace, so that contracts of older cards stay.
    [
      width,
      height,
      colorOrder,
      mean,
      std,
      ...(channels === 1 ? [channels] : []),
      ...(standardize == null ? [] : [standardize]),
    ],
    [card.family, ALIGNMENT_VERSION, ...(align ? [] : ['box'])],
    [card.embedding?.dimensions, card.embedding?.mirrorAverage],
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}
