import { createHash } from 'node:crypto';
import type { ModelCard } from './model-card';

/**
 * Identifier of one version of a model: its name and a short hash over the whole card, which pins the weights. Models
 * with the same name but another card or other weights have different identifiers.
 */
export function modelId(card: ModelCard): string {
  return `${card.name}@${createHash('sha256').update(JSON.stringify(card)).digest('hex').slice(0, 12)}`;
}
