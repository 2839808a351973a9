import { EXAMPLE_IMAGE_DATA_URI } from './example-image';

/*
 * Examples of the OpenAPI document. Those of responses are made of the examples of their properties, by whatever shows
 * the document.
 */

export const EXAMPLE_DETECTOR = 'rfb-320';
export const EXAMPLE_EMBEDDER = 'mobilefacenet-512';
/** Contract of {@link EXAMPLE_EMBEDDER}. */
export const EXAMPLE_CONTRACT = '68d3f0a95156';
/** Length of its embeddings. */
export const EXAMPLE_DIMENSIONS = 512;
/** Its default threshold, cosine distance. */
export const EXAMPLE_THRESHOLD = 0.55;
/** Distance of two photos of one person. */
export const EXAMPLE_DISTANCE = 0.31;
export const EXAMPLE_SIMILARITY = 0.69;

/**
 * {@link EXAMPLE_DIMENSIONS} small integers that look like an embedding, the same on every machine; another `step` gives
 * another vector.
 */
export function exampleEmbedding(step = 3): number[] {
  return Array.from({ length: EXAMPLE_DIMENSIONS }, (_, index) => ((index * step) % 11) - 5);
}

/** Body of routes with one field `image` that can be sent as it is. */
export const IMAGE_EXAMPLE = { image: EXAMPLE_IMAGE_DATA_URI };
