import type { ModelCard } from '../../../models/model-card';
import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { KerasNetwork } from '../keras-network';
import type { StateDict } from '../torch/state-dict';

/**
 * A network with weights published as a file of Keras or PyTorch, and its card.
 *
 * Facts (layers, names, epsilons, thresholds) come from the sources named in each file; the code is original.
 */
export type Architecture = KerasArchitecture | TorchArchitecture;

interface WithCard {
  /** The card, with normalization `base` for an embedder. */
  card: Omit<ModelCard, 'name' | 'file' | 'compiled' | 'sha256' | 'bytes'>;
}

export interface KerasArchitecture extends WithCard {
  /** Defines the network; `image` is its only input, in the channel order and range of the card. */
  build(net: KerasNetwork): void;
}

export interface TorchArchitecture extends WithCard {
  /** Writes the network with its weights; `image` is its only input, as on the card. */
  write(graph: OnnxGraph, weights: StateDict): void;
}

type Card = Architecture['card'];

/** Largest distances of the same person in DeepFace. */
type MaxDistances = Record<'cosine' | 'euclidean' | 'euclidean_l2' | 'angular', number>;

/**
 * Card of an embedder with DeepFace's preprocessing, normalization `base`, and thresholds.
 *
 * @see serengil/deepface@243209f:deepface/config/threshold.py
 */
export function embedderCard({
  width,
  height,
  maxBatch,
  dimensions,
  maxDistances,
  ...card
}: Pick<Card, 'title' | 'license' | 'trainingData' | 'source'> &
  Pick<Card['input'], 'width' | 'height' | 'maxBatch'> & {
    dimensions: number;
    maxDistances: MaxDistances;
  }): Card {
  const source = `DeepFace 0.0.100, config/threshold.py, ${card.title}: for its own alignment and normalization base`;
  const threshold = (metric: keyof MaxDistances) => ({ maxDistance: maxDistances[metric], source });
  return {
    ...card,
    task: 'embed',
    family: 'upright-crop',
    input: colorInput(width, height, maxBatch),
    outputs: [{ name: 'embedding', dims: [-1, dimensions] }],
    embedding: {
      dimensions,
      mirrorAverage: false,
      thresholds: {
        cosine: threshold('cosine'),
        euclidean: threshold('euclidean'),
        euclidean_l2: threshold('euclidean_l2'),
        angular: threshold('angular'),
      },
    },
  };
}

/** Pixels as DeepFace passes them to its networks: BGR, 0 to 1. */
export function colorInput(width: number, height: number, maxBatch: number): Card['input'] {
  return {
    width,
    height,
    layout: 'NCHW',
    dtype: 'float32',
    colorOrder: 'BGR',
    mean: [0, 0, 0],
    std: [255, 255, 255],
    maxBatch,
  };
}

/** License note for weights whose publisher licenses only the code. */
export function unstatedLicense(code: string): Card['license'] {
  return {
    name: 'not stated',
    commercialUse: false,
    note: `${code} The weights have no stated license and are treated as non-commercial.`,
  };
}
