/**
 * Capabilities that an operator can turn off, with their routes. One that is off has no route, no entry in the OpenAPI document
 * and no model of its own.
 */
export const FEATURES = {
  verify: 'POST /v1/verify; with galleries also the comparison with one subject (1:1)',
  identify: 'POST /v1/galleries/{galleryId}/identify, the search among all subjects (1:N); needs galleries',
  galleries: 'galleries, subjects, references and enrollment, with their export and import',
  embeddings: 'POST /v1/represent and /v1/distances',
  detect: 'POST /v1/detect',
  attributes: 'age, gender and race at POST /v1/analyze',
  expression: 'expression at POST /v1/analyze',
  deepface: 'the DeepFace API at the root, each of its routes only where its capability is on',
} as const;

export type Feature = keyof typeof FEATURES;

/** Enabled capabilities. */
export type Features = ReadonlySet<Feature>;

export const ALL_FEATURES: Features = new Set(Object.keys(FEATURES) as Feature[]);

/** Whether faces are analyzed at all. */
export function hasAnalysis(features: Features): boolean {
  return features.has('attributes') || features.has('expression');
}
