import {
  EXAMPLE_DETECTOR,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_FACE,
  EXAMPLE_COMPARED_IMAGE,
  EXAMPLE_THRESHOLD,
  exampleEmbedding,
} from '../http/openapi/examples';
import { findConfidence } from './confidence';
import {
  DeepfaceAnalysisDto,
  type DeepfaceMatchDto,
  DeepfaceRepresentationDto,
  type DeepfaceVerifyAnswerDto,
  FacialAreaDto,
} from './deepface-answers.dto';

/*
 * Examples of the OpenAPI document, created by the mappers of real responses.
 */

const DETECTOR = { name: EXAMPLE_DETECTOR, card: EXAMPLE_DETECTOR, substitutes: null };
const AREA = FacialAreaDto.from(EXAMPLE_FACE, EXAMPLE_COMPARED_IMAGE, DETECTOR);

export const VERIFY_EXAMPLE: DeepfaceVerifyAnswerDto = {
  verified: true,
  distance: EXAMPLE_DISTANCE,
  threshold: EXAMPLE_THRESHOLD,
  confidence: findConfidence(EXAMPLE_DISTANCE, null, 'cosine', true),
  model: EXAMPLE_EMBEDDER,
  detector_backend: EXAMPLE_DETECTOR,
  similarity_metric: 'cosine',
  facial_areas: { img1: AREA, img2: AREA },
  time: 0.08,
};

export const REPRESENTATION_EXAMPLE = DeepfaceRepresentationDto.from(
  { ...EXAMPLE_FACE, embedding: Float32Array.from(exampleEmbedding()), embeddingNorm: 1 },
  EXAMPLE_COMPARED_IMAGE,
  DETECTOR,
);

export const ANALYSIS_EXAMPLE = DeepfaceAnalysisDto.from(
  { ...EXAMPLE_FACE, age: 31.4, gender: 'female', genderScores: { female: 0.94, male: 0.06 } },
  ['age', 'gender'],
  EXAMPLE_COMPARED_IMAGE,
  DETECTOR,
);

export const MATCH_EXAMPLE: DeepfaceMatchDto = {
  id: '6f0b3a5e8c1d4f27a9be52d0c4137e68',
  img_name: 'ada',
  model_name: EXAMPLE_EMBEDDER,
  detector_backend: EXAMPLE_DETECTOR,
  aligned: true,
  l2_normalized: false,
  search_method: 'exact',
  target_x: Number(AREA.x),
  target_y: Number(AREA.y),
  target_w: Number(AREA.w),
  target_h: Number(AREA.h),
  threshold: EXAMPLE_THRESHOLD,
  distance_metric: 'cosine',
  distance: EXAMPLE_DISTANCE,
  confidence: VERIFY_EXAMPLE.confidence,
};
