import type { CardInput } from '../../src/models/model-card';

/** Input of a graph that takes uint8 NHWC RGB and normalizes inside, as the compiled models do. */
export function cardInput(width: number, height: number, extra: Partial<CardInput> = {}): CardInput {
  return {
    width,
    height,
    layout: 'NHWC',
    dtype: 'uint8',
    colorOrder: 'RGB',
    mean: [0, 0, 0],
    std: [1, 1, 1],
    maxBatch: 1,
    ...extra,
  };
}
