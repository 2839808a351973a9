import type { ModelCard } from '../../../models/model-card';
import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { KerasNetwork } from '../keras-network';
import type { StateDict } from '../torch/state-dict';

/**
 * A network whose weights are published as a file of Keras or PyTorch, and what its card says.
 *
 * Facts (layers, names, epsilons, thresholds) are those of the sources that each file names; the code is our own.
 */
export type Architecture = KerasArchitecture | TorchArchitecture;

interface WithCard {
  /** The card, with normalization `base` where it is an embedder. */
  card: Omit<ModelCard, 'name' | 'file' | 'compiled' | 'sha256' | 'bytes'>;
}

export interface KerasArchitecture extends WithCard {
  /** Writes down the network; `image` is its one input, in the channel order and the range of the card. */
  build(net: KerasNetwork): void;
}

export interface TorchArchitecture extends WithCard {
  /** Writes the network with its weights; `image` is its one input, as the card says. */
  write(graph: OnnxGraph, weights: StateDict): void;
}

type Card = Architecture['card'];

/** Largest distances at which DeepFace takes two faces for one person. */
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

/** Pixels as DeepFace hands them to its networks: BGR, 0 to 1. */
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

/** What is known of weights whose publisher names the license of the code alone. */
export function unstatedLicense(code: string): Card['license'] {
  return {
    name: 'not stated',
    commercialUse: false,
    note: `${code} The weights have no stated license and are treated as non-commercial.`,
  };
}
