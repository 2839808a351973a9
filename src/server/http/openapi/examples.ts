import type { FaceDetection, ImageFaces, StageTimings } from '../../../pipeline/face.types';
import { EXAMPLE_IMAGE_DATA_URI } from './example-image';

/*
 * Examples of the OpenAPI document. Responses are created by the mappers of real ones, so that an example cannot differ
 * from its schema.
 */

export const EXAMPLE_REQUEST_ID = '5e1f8a52-3b0c-4c5e-9a54-0d1c0a7c2f11';
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

export const EXAMPLE_FACE: FaceDetection = {
  box: { x: 38, y: 34.8, width: 76.7, height: 91.7 },
  landmarks: [
    { x: 61.3, y: 72.4 },
    { x: 95.1, y: 72.3 },
    { x: 78.6, y: 94.6 },
    { x: 65.9, y: 109 },
    { x: 91.4, y: 109.8 },
  ],
  detectionScore: 0.99,
  alignmentScore: 0.99,
};

export const EXAMPLE_TIMINGS: StageTimings = {
  queueMs: 0.4,
  decodeMs: 6.1,
  detectMs: 41.7,
  alignMs: 0.9,
  embedMs: 28.3,
  attributesMs: 0,
  presentationAttackMs: 0,
};

export const EXAMPLE_COMPARED_IMAGE = { imageWidth: 160, imageHeight: 160, rotation: 0 };

/** The result of one image with that face. */
export function exampleImage<F extends FaceDetection>(face: F): ImageFaces<F> & { detector: string } {
  return {
    ...EXAMPLE_COMPARED_IMAGE,
    detectionScale: 1,
    faceCount: 1,
    unalignedCount: 0,
    faces: [face],
    timings: EXAMPLE_TIMINGS,
    detector: EXAMPLE_DETECTOR,
  };
}

/** {@link EXAMPLE_DIMENSIONS} numbers that look like an embedding, the same on every machine; another `step` gives another vector. */
export function exampleEmbedding(step = 37): number[] {
  return Array.from({ length: EXAMPLE_DIMENSIONS }, (_, index) => (((index * step) % 101) - 50) / 100);
}

/** Example bodies of routes with one field `image`, for JSON and multipart. */
export const IMAGE_EXAMPLES = {
  dataUri: { summary: 'An image as a data URI', value: { image: EXAMPLE_IMAGE_DATA_URI } },
  base64: { summary: 'An image as raw base64', value: { image: EXAMPLE_IMAGE_DATA_URI.split(',')[1] } },
};
