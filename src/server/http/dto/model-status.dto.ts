import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { EmbedderInfo, FaceModel, ModelStatus } from '../../../face/face-model';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DETECTOR,
  EXAMPLE_DIMENSIONS,
  EXAMPLE_EMBEDDER,
} from '../openapi/examples';
import { ApiRequestId } from './face.dto';
import {
  type CalibrationPoint,
  type CalibrationSet,
  type CardCalibration,
  MODEL_TASKS,
  type ModelTask,
} from '../../../models/model-card';
import { type Attribute, ATTRIBUTES, type Metric, METRICS } from '../../../pipeline/face.types';

const STATES = ['loaded', 'available', 'absent'] as const;

/** License of a model's weights. */
export class ModelLicenseDto {
  @ApiProperty({ example: 'MIT', description: 'SPDX identifier, or a short name if there is none' })
  name!: string;

  @ApiProperty({ example: true, description: 'Whether the license allows commercial use' })
  commercialUse!: boolean;

  @ApiPropertyOptional({
    example: 'Weights for non-commercial research only.',
    description: 'Further information',
  })
  note?: string;
}

/** A set of photos of a calibration. */
export class CalibrationSetDto implements CalibrationSet {
  @ApiProperty({ example: 'cfp250 frontal' })
  name!: string;

  @ApiProperty({ type: 'integer', minimum: 2, example: 250, description: 'Number of people' })
  people!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 2,
    example: 1500,
    description: 'Photos with a face',
  })
  photos!: number;

  @ApiProperty({ type: 'integer', minimum: 1, example: 1120500, description: 'Pairs of different people' })
  nonMatedPairs!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 3750, description: 'Pairs of the same person' })
  matedPairs!: number;
}

/** The similarity at one false match rate. */
export class CalibrationPointDto implements CalibrationPoint {
  @ApiProperty({ example: 0.001, description: 'False match rate: share of pairs of different people' })
  fmr!: number;

  @ApiProperty({
    minimum: -1,
    maximum: 1,
    example: 0.28,
    description: 'Cosine similarity that this share of pairs of different people reaches',
  })
  minSimilarity!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 1140,
    description: 'Pairs of different people that reach it',
  })
  falseMatches!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: 1141000,
    description: 'Pairs of different people compared',
  })
  nonMatedPairs!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 0.012,
    description: 'False non-match rate: share of pairs of the same person below it; null without such pairs',
  })
  fnmr!: number | null;

  @ApiProperty({
    example: false,
    description: 'true: too few pairs to count the rate; the similarity is extrapolated by a fitted line',
  })
  isExtrapolated!: boolean;
}

/** Calibration of an embedder: similarities by false match rate, measured on photos. */
export class CalibrationDto implements CardCalibration {
  @ApiProperty({
    type: String,
    format: 'date',
    example: '2026-11-28',
    description: 'Date of the measurement',
  })
  date!: string;

  @ApiProperty({ example: EXAMPLE_DETECTOR, description: 'Detector of the measurement' })
  detector!: string;

  @ApiProperty({ type: [CalibrationSetDto], description: 'Sets of photos; pairs are from the same set' })
  sets!: CalibrationSetDto[];

  @ApiProperty({ type: [CalibrationPointDto], description: 'Similarities over the pairs of all sets' })
  points!: CalibrationPointDto[];
}

/** Properties of an embedder that matter for comparing embeddings. */
export class EmbedderInfoDto implements EmbedderInfo {
  @ApiProperty({ example: EXAMPLE_EMBEDDER })
  name!: string;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: EXAMPLE_DIMENSIONS,
    description: 'Length of its embeddings',
  })
  dimensions!: number;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'Embeddings compare only under the same contract' })
  contract!: string;

  @ApiProperty({
    type: 'object',
    properties: Object.fromEntries(METRICS.map((metric) => [metric, { type: 'number', minimum: 0 }])),
    description:
      'Default threshold per metric, inclusive; a metric without one needs `threshold` in the call',
  })
  maxDistances!: Partial<Record<Metric, number>>;

  @ApiProperty({
    type: () => CalibrationDto,
    nullable: true,
    description:
      'Similarities by false match rate, from which thresholds for target rates are derived; null: none, target rates cannot be used',
  })
  calibration!: CalibrationDto | null;
}

/** Duration of one run of a network. */
export class RunMsDto {
  @ApiProperty({ example: 13.9, description: 'Median, milliseconds' })
  p50!: number;

  @ApiProperty({ example: 21.4, description: '99th percentile, milliseconds' })
  p99!: number;
}

/** State of one model, loaded or not. */
export class ModelStatusDto implements ModelStatus {
  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Name for requests and settings' })
  name!: string;

  @ApiProperty({ example: 'MobileFaceNet, 512-d' })
  title!: string;

  @ApiProperty({ enum: MODEL_TASKS, example: 'embed' })
  task!: ModelTask;

  @ApiProperty({ example: 'arcface-112', description: 'Kind of pre- and post-processing' })
  family!: string;

  @ApiProperty({
    enum: STATES,
    example: 'loaded',
    description: 'loaded: in use; available: its file exists; absent: only its card exists',
  })
  state!: ModelStatus['state'];

  @ApiProperty({ example: true, description: 'Default model of its task' })
  isDefault!: boolean;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 4,
    description: 'Number of loads in all workers; requests never load a model',
  })
  loads!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 48.2,
    description: 'Slowest load and warm-up among the current workers, milliseconds; null if not loaded',
  })
  loadMs!: number | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: 16777216,
    description: 'Private memory in all workers, bytes; null if not loaded',
  })
  memoryBytes!: number | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: 22558720,
    description:
      'Bytes of weights that all workers map from one file; 0 if each worker has a copy, null if not loaded',
  })
  sharedBytes!: number | null;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 1284,
    description: 'Runs of the network since the start',
  })
  runs!: number;

  @ApiProperty({
    type: () => RunMsDto,
    nullable: true,
    description: 'Duration of a run in milliseconds, over the last 256 jobs; null if it never ran',
  })
  runMs!: RunMsDto | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: 600000,
    description: 'Idle time in milliseconds after which it is unloaded; null: never',
  })
  idleTtlMs!: number | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'aee63d070fb494b0fe77632b34b4ed96a6f46953cd6327f9343e01fc8b6e29b7',
    description: 'SHA-256 of the ONNX file; null if the card has none',
  })
  sha256!: string | null;

  @ApiProperty({ type: ModelLicenseDto })
  license!: ModelLicenseDto;

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'The publisher does not say which faces it was trained on.',
    description: 'Training data of the weights, as stated by the publisher; null if unknown',
  })
  trainingData!: string | null;

  @ApiProperty({
    example: 'faceplugin-face-recognition-js 0.0.1, model/fr_feature.onnx, compiled to ONNX by the build',
    description: 'Source of the weights',
  })
  source!: string;

  @ApiPropertyOptional({ type: EmbedderInfoDto, description: 'Embedders only' })
  embedder?: EmbedderInfoDto;

  @ApiPropertyOptional({
    enum: ATTRIBUTES,
    isArray: true,
    description:
      'Attribute models only: attributes that analyze uses it for. Of several loaded models for an attribute, the first configured one is used',
  })
  attributes?: Attribute[];
}

/** Default models of requests. */
export class DefaultModelsDto {
  @ApiProperty({ example: EXAMPLE_DETECTOR })
  detector!: string;

  @ApiProperty({ example: EXAMPLE_EMBEDDER })
  embedder!: string;
}

/** Response of GET /v1/models. */
export class ModelsResponseDto {
  @ApiProperty({ type: [ModelStatusDto], description: 'Every model with a card, loaded ones first' })
  models!: ModelStatusDto[];

  @ApiProperty({ type: DefaultModelsDto })
  defaults!: DefaultModelsDto;

  @ApiRequestId()
  requestId!: string;

  static from(
    model: Pick<FaceModel, 'models' | 'defaultDetector' | 'defaultEmbedder'>,
    requestId: string,
  ): ModelsResponseDto {
    const defaults = { detector: model.defaultDetector, embedder: model.defaultEmbedder };
    return { models: model.models(), defaults, requestId };
  }
}
