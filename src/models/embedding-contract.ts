import { createHash } from 'node:crypto';
import type { ModelCard } from './model-card';

/** Raise it when a change of alignment or warping changes the embedding of the same image. */
const ALIGNMENT_VERSION = 1;

/**
 * Short hash over all inputs of an embedding: weights, preprocessing, alignment, normalization. Only embeddings with
 * equal hashes can be compared.
 *
 * @param align - false for embeddings of faces cropped by their boxes, whatever the family.
 * @returns 12 hexadecimal digits.
 */
export function embeddingContract(card: ModelCard, align = true): string {
  const { width, height, colorOrder, mean, std, channels, standardize } = card.input;
  const parts = [
    card.sha256,
    // Absent fields leave no trace, so that contracts of older cards stay.
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
