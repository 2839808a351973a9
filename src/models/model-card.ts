import 'reflect-metadata';
import { plainToInstance, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsNumber,
  IsObject,
  IsOptional,
  IsPositive,
  IsString,
  Matches,
  Max,
  Min,
  ValidateIf,
  ValidateNested,
  validateSync,
} from 'class-validator';
import { FaceError } from '../errors';
import { type Attribute, EXPRESSIONS, GENDERS } from './attributes';

export const MODEL_TASKS = [
  'detect',
  'landmarks',
  'embed',
  'age-gender',
  'age',
  'gender',
  'expression',
  'race',
  'presentation-attack',
] as const;
export type ModelTask = (typeof MODEL_TASKS)[number];

/** Attributes of each attribute task; other tasks have no entry. */
export const ATTRIBUTES_OF_TASK: Readonly<Partial<Record<ModelTask, readonly Attribute[]>>> = {
  'age-gender': ['age', 'gender'],
  age: ['age'],
  gender: ['gender'],
  expression: ['expression'],
  race: ['race'],
};

/** Families of post-processing by task; one file in `pipeline/` each. */
export const MODEL_FAMILIES = {
  detect: ['ultra-light', 'ssd-mobilenet', 'yunet', 'retinaface', 'retinaface-insightface', 'scrfd'],
  landmarks: ['landmarks-68'],
  embed: ['arcface-112', 'dlib-150', 'upright-crop'],
  'age-gender': ['box-crop', 'upright-crop'],
  age: ['box-crop', 'upright-crop'],
  gender: ['box-crop', 'upright-crop'],
  expression: ['box-crop', 'upright-crop'],
  race: ['box-crop', 'upright-crop'],
  'presentation-attack': ['context-crop'],
} as const satisfies Record<ModelTask, readonly string[]>;

/**
 * Conversion of pixels to the input tensor: value = (pixel - mean) / std per channel, in the order of `colorOrder`; or
 * by `standardize`.
 */
export class CardInput {
  /** Width in pixels. With `multipleOf`: the longest side. */
  @IsInt() @Min(1) width!: number;
  @IsInt() @Min(1) height!: number;
  /** The graph takes any multiple of this size; absent if the size is fixed. */
  @IsOptional() @IsInt() @Min(1) multipleOf?: number;
  @IsIn(['NHWC', 'NCHW']) layout!: 'NHWC' | 'NCHW';
  @IsIn(['uint8', 'float32']) dtype!: 'uint8' | 'float32';
  /** Ignored for one channel. */
  @IsIn(['RGB', 'BGR']) colorOrder!: 'RGB' | 'BGR';
  /** 1: gray, the luma of ITU-R BT.601. Attribute models only. @defaultValue 3 */
  @IsOptional() @IsIn([1, 3]) channels?: 1 | 3;
  /**
   * Subtracted, one number per channel; must be 0 for `dtype` uint8, because the graph then subtracts the mean itself.
   */
  @IsArray() @ArrayMinSize(1) @ArrayMaxSize(3) @IsNumber({}, { each: true }) mean!: number[];
  /** Divisor of each channel, applied after the mean. */
  @IsArray() @ArrayMinSize(1) @ArrayMaxSize(3) @IsNumber({}, { each: true }) std!: number[];
  /**
   * `image`: value = (pixel - mean) / standard deviation, both over all channels of the crop, black borders included;
   * `mean` must then be 0 and `std` 1.
   */
  @IsOptional() @IsIn(['image']) standardize?: 'image';
  /** Largest batch of one run: 1 if the graph fixes it. */
  @IsInt() @Min(1) maxBatch!: number;
}

/** Dimensions of a graph output; -1 is a variable dimension. */
export class CardOutput {
  /** Name in the graph; absent if the exporter only numbered its outputs: their order then counts. */
  @IsOptional() @IsString() @IsNotEmpty() name?: string;
  @IsArray() @IsInt({ each: true }) dims!: number[];
}

/** One pass of a detector. Passes run in order until one finds a face. */
export class DetectionPass {
  /** Black border on each side before detection, as a fraction of the longer side of the image. */
  @IsNumber() @Min(0) @Max(4) border!: number;
  /** Faces below this score are dropped, [0, 1], inclusive. */
  @IsNumber() @Min(0) @Max(1) minDetectionScore!: number;
  /** Longest side of the letterboxed input for this pass; default: the input's own size. */
  @IsOptional() @IsInt() @Min(32) inputSide?: number;
}

/** Settings of a detector beyond its input. */
export class CardDetection {
  @IsArray()
  @ArrayMinSize(1)
  @IsObject({ each: true })
  @ValidateNested({ each: true })
  @Type(() => DetectionPass)
  passes!: DetectionPass[];
  /** Boxes with a larger overlap (intersection over union) with a better box are dropped. */
  @IsNumber() @Min(0) @Max(1) nmsIou!: number;
  /** False if small images keep their size on the canvas instead of being enlarged. */
  @IsBoolean() enlarge!: boolean;
  /**
   * Model of 68 landmarks. They align the faces if the detector returns no landmarks; otherwise they check those of the
   * detector.
   */
  @IsOptional() @IsString() landmarkModel?: string;
  /**
   * Height of a face, as a fraction of the longer side of the picture, above which the landmarks of the detector are
   * unreliable: the face is detected again with a margin. Absent: every height is reliable.
   */
  @IsOptional() @IsNumber() @Min(0) @Max(1) maxTrustedHeight?: number;
  /** RetinaFace, both families, and Ultra-Light: anchor sides in pixels per stride. */
  @IsOptional() @IsArray() minSizes?: number[][];
  /** Strides of the feature maps, for families with one head per stride. */
  @IsOptional() @IsArray() @ArrayMinSize(1) @IsInt({ each: true }) @Min(1, { each: true }) strides?: number[];
}

/** Largest distance at which two embeddings verify, and its source. */
export class CardThreshold {
  /** Inclusive, in the unit of the metric. */
  @IsNumber() @Min(0) maxDistance!: number;
  @IsString() @IsNotEmpty() source!: string;
}

export class CardThresholds {
  /** May be absent if the card has a calibration. */
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardThreshold) cosine?: CardThreshold;
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardThreshold) euclidean?: CardThreshold;
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardThreshold) euclidean_l2?: CardThreshold;
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardThreshold) angular?: CardThreshold;
}

/**
 * Alignment of a face, judged by the length of its raw embedding: the odds that it was upright and well aligned are
 * `exp(slope * (length - even))`.
 */
export class CardRawLength {
  /** Length with even odds. */
  @IsNumber() @IsPositive() even!: number;
  @IsNumber() @IsPositive() slope!: number;
}

/** False match rates of the points of a calibration, highest first. */
export const CALIBRATION_FMRS = [0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6] as const;

/** Photos of a calibration. Pairs are made only within a set, because its photos have the same origin. */
export class CalibrationSet {
  @IsString() @IsNotEmpty() name!: string;
  /** People with a face found in at least one photo. */
  @IsInt() @Min(2) people!: number;
  /** Photos with a face. */
  @IsInt() @Min(2) photos!: number;
  /** Pairs of photos of different people. */
  @IsInt() @Min(1) nonMatedPairs!: number;
  /** Pairs of photos of the same person. */
  @IsInt() @Min(0) matedPairs!: number;
}

/** Similarity at one false match rate, over the pairs of all sets. */
export class CalibrationPoint {
  /** False match rate: share of pairs of strangers at or above `minSimilarity`, (0, 0.5]. */
  @IsNumber() @IsPositive() @Max(0.5) fmr!: number;
  /** Cosine similarity of unit vectors, [-1, 1]. */
  @IsNumber() @Min(-1) @Max(1) minSimilarity!: number;
  /** Pairs of strangers at or above `minSimilarity`. */
  @IsInt() @Min(0) falseMatches!: number;
  /** Compared pairs of strangers. */
  @IsInt() @Min(1) nonMatedPairs!: number;
  /** False non-match rate: share of pairs of one person below `minSimilarity`, [0, 1]; `null` without such pairs. */
  @ValidateIf((_point, value) => value !== null) @IsNumber() @Min(0) @Max(1) fnmr!: number | null;
  /** True if too few pairs reached `minSimilarity` to count the rate: the similarity comes from a fitted line. */
  @IsBoolean() isExtrapolated!: boolean;
}

/**
 * Distribution of the similarity of strangers, counted on photos: the basis of thresholds by error rate. Valid for
 * aligned faces. Written by `likeness calibrate`.
 */
export class CardCalibration {
  /** Day of the measurement, ISO 8601. */
  @Matches(/^\d{4}-\d{2}-\d{2}$/) date!: string;
  /** Name of the detector used. */
  @IsString() @IsNotEmpty() detector!: string;
  @IsArray()
  @ArrayMinSize(1)
  @IsObject({ each: true })
  @ValidateNested({ each: true })
  @Type(() => CalibrationSet)
  sets!: CalibrationSet[];
  /** One for each of {@link CALIBRATION_FMRS}, in their order, with strictly increasing similarity. */
  @IsArray()
  @IsObject({ each: true })
  @ValidateNested({ each: true })
  @Type(() => CalibrationPoint)
  points!: CalibrationPoint[];
}

/** Settings of an embedder beyond its input. */
export class CardEmbedding {
  /** Length D of the embedding. */
  @IsInt() @Min(1) dimensions!: number;
  /** True if the embedding is the mean of the face and its mirror image, at twice the cost. */
  @IsBoolean() mirrorAverage!: boolean;
  /** Absent if not measured: then only the landmarks show whether a face is aligned. */
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardRawLength) rawLength?: CardRawLength;
  /** Fixed distances. Cosine is required without a calibration, and ignored with one. */
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardThresholds) thresholds?: CardThresholds;
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardCalibration) calibration?: CardCalibration;
}

/** Classes of a presentation attack model: a person, a flat picture of one (print or screen), a mask. */
export const PRESENTATION_CLASSES = ['real', 'print_or_screen', 'mask'] as const;
export type PresentationClass = (typeof PRESENTATION_CLASSES)[number];

/** Settings of a presentation attack model beyond its input. Its only output is a softmax over `labels`. */
export class CardPresentationAttack {
  /** Side of the input square of the network, as a multiple of the longer side of the face box. */
  @IsNumber() @Min(1) @Max(8) scale!: number;
  /** Faces with a lower score for `real` are suspected, [0, 1]. */
  @IsNumber() @Min(0) @Max(1) minRealScore!: number;
  /** Class of each element of the last output dimension; scores of the same class are added. `real` is required. */
  @IsArray()
  @ArrayMinSize(2)
  @IsIn(PRESENTATION_CLASSES, { each: true })
  labels!: PresentationClass[];
}

export class CardLicense {
  /** SPDX identifier, or a short name if there is none. */
  @IsString() @IsNotEmpty() name!: string;
  @IsBoolean() commercialUse!: boolean;
  @IsOptional() @IsString() note?: string;
}

/** Zip archive in which a model is published together with other files. */
export class CardPack {
  /** File name of the ONNX file in the zip, without its folders. */
  @Matches(/^[^/\\]+\.onnx$/) entry!: string;
  /** sha256 of the zip. */
  @Matches(/^[0-9a-f]{64}$/) sha256!: string;
  /** Size of the zip in bytes; absent if its publisher does not state it. */
  @IsOptional() @IsInt() @IsPositive() bytes?: number;
}

/** Source from which `likeness models pull` downloads the file of a model. */
export class CardDownload {
  /** URL of the ONNX file, with the sha256 and size of the card, or of the pack with it. Ends in a plain file name. */
  @Matches(/^https:\/\/[^/?#\s]+(\/[^/?#\s]+)*\/[\w.-]*\w$/) url!: string;
  /** Present if `url` is a zip. */
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardPack) pack?: CardPack;
}

/**
 * Description of one model for the code, read from `models/cards/<name>.json`.
 *
 * @publicApi
 */
export class ModelCard {
  @Matches(/^[a-z0-9][a-z0-9.-]*$/) name!: string;
  @IsString() @IsNotEmpty() title!: string;
  @IsIn(MODEL_TASKS) task!: ModelTask;
  @IsString() family!: string;
  /** Name of the ONNX file in a models folder. Absent for models compiled from the weights in an npm package. */
  @IsOptional() @Matches(/^[^/\\]+\.onnx$/) file?: string;
  /** True if `likeness models compile` creates the file from the weights in an npm package. */
  @IsOptional() @IsBoolean() compiled?: boolean;
  /**
   * sha256 of the ONNX file, checked at each start. Absent on cards of models without a single published file: they
   * cannot be loaded until a card in a models folder pins the file of the operator.
   */
  @IsOptional() @Matches(/^[0-9a-f]{64}$/) sha256?: string;
  @IsOptional() @IsInt() @IsPositive() bytes?: number;
  @IsObject() @ValidateNested() @Type(() => CardInput) input!: CardInput;
  @IsArray()
  @ArrayMinSize(1)
  @IsObject({ each: true })
  @ValidateNested({ each: true })
  @Type(() => CardOutput)
  outputs!: CardOutput[];
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardDetection) detection?: CardDetection;
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardEmbedding) embedding?: CardEmbedding;
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => CardPresentationAttack)
  presentationAttack?: CardPresentationAttack;
  /**
   * Names of the classes, in the order of the last output dimension. Required for gender (`male`, `female`) and race
   * (any names); for expression, the names of {@link EXPRESSIONS} if in another order.
   */
  @IsOptional()
  @IsArray()
  @ArrayMinSize(2)
  @ArrayUnique()
  @IsString({ each: true })
  @IsNotEmpty({ each: true })
  labels?: string[];
  @IsObject() @ValidateNested() @Type(() => CardLicense) license!: CardLicense;
  /** Training data of the weights, as stated by their publisher. Absent if unknown to the author of the card. */
  @IsOptional() @IsString() @IsNotEmpty() trainingData?: string;
  /** Origin of the weights. */
  @IsString() @IsNotEmpty() source!: string;
  /** Absent if nobody publishes the file as described by the card. */
  @IsOptional() @IsObject() @ValidateNested() @Type(() => CardDownload) download?: CardDownload;
}

/**
 * Validates a card read from JSON.
 *
 * @throws {FaceError} MODEL_INVALID naming the card and every wrong field.
 */
export function parseModelCard(json: unknown, fileName: string): ModelCard {
  const fail = (problems: string[]): never => {
    throw new FaceError('MODEL_INVALID', `The model card ${fileName} is malformed: ${problems.join('; ')}.`, {
      card: fileName,
    });
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return fail(['not a JSON object']);
  const card = plainToInstance(ModelCard, json);
  const problems = validateSync(card, { whitelist: true, forbidNonWhitelisted: true }).flatMap((error) =>
    flatten(error, ''),
  );
  if (problems.length > 0) fail(problems);
  if (`${card.name}.json` !== fileName) problems.push(`name must be that of the file, but is ${card.name}`);
  if (!(MODEL_FAMILIES[card.task] as readonly string[]).includes(card.family)) {
    problems.push(`family of task ${card.task} must be one of ${MODEL_FAMILIES[card.task].join(', ')}`);
  }
  if ((card.task === 'detect') !== (card.detection != null))
    problems.push('detection is required for task detect, and only allowed there');
  if ((card.task === 'embed') !== (card.embedding != null))
    problems.push('embedding is required for task embed, and only allowed there');
  if ((card.task === 'presentation-attack') !== (card.presentationAttack != null))
    problems.push('presentationAttack is required for task presentation-attack, and only allowed there');
  if ((card.file == null) === !card.compiled) problems.push('either file or compiled is required');
  if (card.compiled && card.download != null) problems.push('download cannot be combined with compiled');
  problems.push(...inconsistencies(card));
  return problems.length > 0 ? fail(problems) : card;
}

/** Valid fields in combinations unsupported by the pipeline: found at startup, not by the first request. */
function inconsistencies(card: ModelCard): string[] {
  const { task, family, input, outputs, detection, embedding } = card;
  const problems: string[] = [...inputProblems(card), ...labelProblems(card), ...thresholdProblems(card)];
  if (embedding != null && outputs[0].dims.at(-1) !== embedding.dimensions) {
    problems.push(`embedding.dimensions must be the last of outputs.0.dims, but is ${embedding.dimensions}`);
  }
  const { labels } = card.presentationAttack ?? {};
  if (labels != null && !labels.includes('real')) {
    problems.push('presentationAttack.labels must contain real');
  }
  if (labels != null && outputs[0].dims.at(-1) !== labels.length) {
    problems.push(
      `presentationAttack.labels must be as many as the last of outputs.0.dims, but are ${labels.length}`,
    );
  }
  const strides = detection?.strides?.length ?? 3;
  const counts = {
    'ultra-light': 2,
    'ssd-mobilenet': 2,
    yunet: 4 * strides,
    retinaface: 3,
    'retinaface-insightface': 3 * strides,
    scrfd: 3 * strides,
  };
  const expected = task === 'age-gender' ? 2 : (counts[family as keyof typeof counts] ?? 1);
  if (outputs.length < expected) {
    problems.push(`outputs must be at least ${expected} for task ${task}, family ${family}`);
  }
  if (['ultra-light', 'ssd-mobilenet'].includes(family) && detection?.landmarkModel == null) {
    problems.push(`detection.landmarkModel is needed by family ${family}, which finds no landmarks`);
  }
  if (
    /^(ultra-light|retinaface)/.test(family) &&
    (detection?.strides == null || !areAnchorSizes(detection.minSizes, strides))
  ) {
    problems.push(
      `detection.strides and detection.minSizes are needed by family ${family}: for each level a stride and its sizes`,
    );
  }
  const side = Math.max(...(detection?.passes ?? []).map(({ inputSide = 0 }) => inputSide));
  if (input.multipleOf == null && side > Math.min(input.width, input.height)) {
    problems.push('detection.passes.inputSide must fit into an input of fixed size');
  }
  return problems;
}

function inputProblems({ task, family, input }: ModelCard): string[] {
  const problems: string[] = [];
  const { mean, std, channels = 3, standardize } = input;
  for (const [name, values] of Object.entries({ mean, std })) {
    if (values.length !== channels) problems.push(`input.${name}: must have ${channels} numbers`);
  }
  if (std.includes(0)) problems.push('input.std must not be 0');
  const isPlain = mean.every((v) => v === 0) && std.every((v) => v === 1);
  if (input.dtype === 'uint8' && !isPlain) {
    problems.push('input.mean must be 0 and input.std 1 for dtype uint8');
  }
  if (standardize != null && (!isPlain || input.dtype === 'uint8')) {
    problems.push('input.mean must be 0, input.std 1 and input.dtype float32 for input.standardize');
  }
  const isAttribute = ATTRIBUTES_OF_TASK[task] != null;
  if (channels === 1 && !isAttribute) problems.push('input.channels must be 3, except for attribute models');
  if (input.multipleOf != null && task !== 'detect') {
    problems.push('input.multipleOf is only allowed for task detect');
  }
  if (task !== 'detect' && family !== 'upright-crop' && input.width !== input.height) {
    problems.push(`input.height must be that of input.width for family ${family}`);
  }
  return problems;
}

function thresholdProblems({ embedding }: ModelCard): string[] {
  if (embedding == null) return [];
  const { calibration, thresholds } = embedding;
  if (calibration == null) {
    return thresholds?.cosine == null
      ? ['embedding.thresholds.cosine is required without embedding.calibration']
      : [];
  }
  const { points } = calibration;
  const problems: string[] = [];
  if (points.length !== CALIBRATION_FMRS.length || points.some(({ fmr }, i) => fmr !== CALIBRATION_FMRS[i])) {
    problems.push(
      `embedding.calibration.points must be for fmr ${CALIBRATION_FMRS.join(', ')}, in this order`,
    );
  }
  if (points.some(({ minSimilarity }, i) => i > 0 && minSimilarity <= points[i - 1].minSimilarity)) {
    problems.push('embedding.calibration.points must rise strictly in minSimilarity');
  }
  return problems;
}

/** Required class names by attribute; an attribute without an entry allows any names. */
const LABELS: Readonly<Partial<Record<ModelTask, readonly string[]>>> = {
  gender: GENDERS,
  expression: EXPRESSIONS,
};

function labelProblems({ task, labels, outputs }: ModelCard): string[] {
  if (task === 'age' && (outputs[0].dims.at(-1) ?? 0) < 2) {
    return ['outputs.0.dims must end in the number of classes for task age: one per year, from 0 on'];
  }
  const needsLabels = task === 'gender' || task === 'race';
  if (labels == null) {
    if (needsLabels) return [`labels are required for task ${task}`];
    const isOff = task === 'expression' && outputs[0].dims.at(-1) !== EXPRESSIONS.length;
    return isOff ? [`outputs.0.dims must end in ${EXPRESSIONS.length} for task expression`] : [];
  }
  if (!needsLabels && task !== 'expression') return [`labels are not allowed for task ${task}`];
  const problems: string[] = [];
  if (outputs[0].dims.at(-1) !== labels.length) {
    problems.push(`labels must be as many as the last of outputs.0.dims, but are ${labels.length}`);
  }
  const known = LABELS[task];
  if (known != null && (labels.length !== known.length || labels.some((label) => !known.includes(label)))) {
    problems.push(`labels of task ${task} must be ${known.join(', ')}, in any order`);
  }
  return problems;
}

function areAnchorSizes(sizes: unknown, levels: number): boolean {
  const isLevel = (level: unknown) =>
    Array.isArray(level) && level.length > 0 && level.every((size) => Number.isFinite(size) && size > 0);
  return Array.isArray(sizes) && sizes.length === levels && sizes.every(isLevel);
}

interface NestedError {
  property: string;
  constraints?: Record<string, string>;
  children?: NestedError[];
}

function flatten(error: NestedError, path: string): string[] {
  const here = path === '' ? error.property : `${path}.${error.property}`;
  return [
    ...Object.values(error.constraints ?? {}).map((text) => `${here}: ${text}`),
    ...(error.children ?? []).flatMap((child) => flatten(child, here)),
  ];
}
