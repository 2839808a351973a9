import { createHash } from 'node:crypto';
import type { ModelCard } from './model-card';

/**
 * Names one state of a model: its name and a short hash over the whole card, which pins the weights. Two models of the
 * same name with another card or other weights are two.
 */
export function modelId(card: ModelCard): string {
  return `${card.name}@${createHash('sha256').update(JSON.stringify(card)).digest('hex').slice(0, 12)}`;
}
