import type { CardInput } from '../../models/model-card';

/**
 * Normalizations of DeepFace by name: the effect of its `normalize_input` on pixels 0 to 255, channels in the order
 * BGR.
 *
 * @see serengil/deepface@243209f:deepface/modules/preprocessing.py
 */
export const NORMALIZATIONS = {
  base: { mean: [0, 0, 0], std: [255, 255, 255] },
  raw: { mean: [0, 0, 0], std: [1, 1, 1] },
  Facenet: { mean: [0, 0, 0], std: [1, 1, 1], standardize: 'image' },
  Facenet2018: { mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] },
  VGGFace: { mean: [93.594, 104.7624, 129.1863], std: [1, 1, 1] },
  VGGFace2: { mean: [91.4953, 103.8827, 131.0912], std: [1, 1, 1] },
  ArcFace: { mean: [127.5, 127.5, 127.5], std: [128, 128, 128] },
} as const satisfies Record<
  string,
  { mean: readonly number[]; std: readonly number[]; standardize?: 'image' }
>;

export type Normalization = keyof typeof NORMALIZATIONS;

/** The input of an embedder with another normalization. */
export function normalized(input: CardInput, name: Normalization): CardInput {
  const { mean, std, ...rest } = NORMALIZATIONS[name];
  return { ...input, mean: [...mean], std: [...std], ...rest };
}
