import type { ModelCard } from '../../model-card';
import type { KerasNetwork } from '../keras-network';

/**
 * A network of which DeepFace publishes weights as a Keras file, and what its card says.
 *
 * Facts (layers, names, epsilons, thresholds) are those of the sources that each file names; the code is our own.
 */
export interface Architecture {
  /** Writes down the network; `image` is its one input, in the channel order and the range of the card. */
  build(net: KerasNetwork): void;
  /** The card, with normalisation `base` where it is an embedder. */
  card: Omit<ModelCard, 'name' | 'file' | 'compiled' | 'sha256' | 'bytes'>;
}

/**
 * Thresholds of DeepFace for an embedder.
 *
 * @see serengil/deepface@243209f:deepface/config/threshold.py
 */
export function deepfaceThresholds(
  model: string,
  maxDistances: { cosine: number; euclidean: number; euclidean_l2: number; angular: number },
): NonNullable<ModelCard['embedding']>['thresholds'] {
  const source = `DeepFace 0.0.100, config/threshold.py, ${model}: for its own alignment and normalisation base`;
  const { cosine, euclidean, euclidean_l2, angular } = maxDistances;
  return {
    cosine: { maxDistance: cosine, source },
    euclidean: { maxDistance: euclidean, source },
    euclidean_l2: { maxDistance: euclidean_l2, source },
    angular: { maxDistance: angular, source },
  };
}
