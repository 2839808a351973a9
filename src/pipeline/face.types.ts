import type { Expression, Gender } from '../models/attributes';
import { PRESENTATION_CLASSES } from '../models/model-card';

export {
  type Attribute,
  ATTRIBUTES,
  type Expression,
  EXPRESSIONS,
  type Gender,
  GENDERS,
} from '../models/attributes';

/** A point in pixels of the image as the file shows it (EXIF applied), origin top-left, x right, y down. May lie outside the image. */
export interface Point {
  x: number;
  y: number;
}

/** Axis-aligned box in pixels of the image as the file shows it (EXIF applied), origin top-left. May leave the image. */
export interface BoundingBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * Five points in pixels of the image as the file shows it: image-left eye, image-right eye, nose tip, image-left mouth corner,
 * image-right mouth corner. Left and right are sides of the image turned by `rotation`, not of the person.
 */
export type Landmarks = readonly [Point, Point, Point, Point, Point];

/**
 * Handling of presentation attacks: `off`: none; `report`: every face has a score; `require`: a face not labeled `real`
 * is refused.
 */
export const PRESENTATION_ATTACK_POLICIES = ['off', 'report', 'require'] as const;
export type PresentationAttackPolicy = (typeof PRESENTATION_ATTACK_POLICIES)[number];

/**
 * `real`: the score is at least that of the card; else the likelier of `print_or_screen` and `mask`;
 * `insufficient_context`: the image shows too little of the surroundings.
 */
export const PRESENTATION_ATTACK_LABELS = [...PRESENTATION_CLASSES, 'insufficient_context'] as const;
export type PresentationAttackLabel = (typeof PRESENTATION_ATTACK_LABELS)[number];

/** Whether the camera saw a face itself, or a picture or a mask of one: a signal, no proof. */
export interface PresentationAttack {
  /**
   * Softmax output for `real`, [0, 1]; mean of several models. Not a calibrated probability. `null` without context.
   */
  score: number | null;
  label: PresentationAttackLabel;
}

/** A face found in an image. */
export interface FaceDetection {
  /** The whole image if it was taken for the face, see {@link WHOLE_IMAGE_MODES}. */
  box: BoundingBox;
  /** `null` if the whole image was taken for the face. */
  landmarks: Landmarks | null;
  /** Score of the detector, [0, 1]. Not comparable between detectors. 0 if the whole image was taken for the face. */
  detectionScore: number;
  /**
   * Likelihood that the face is upright and aligned, (0, 1): from the fit of its points to a face and, if embedded, the
   * length of the raw embedding. Fitted on few photos: for comparisons, not a calibrated probability. `null` if the
   * whole image was taken for the face.
   */
  alignmentScore: number | null;
  /** Present if requested. */
  presentationAttack?: PresentationAttack;
}

/** Pixel quality of a face, for its use as a reference. */
export interface PixelQuality {
  /** Variance of the Laplacian of the aligned face, gray levels squared, [0, inf); small is blurred. */
  sharpness: number;
  /** Mean gray level of the aligned face, [0, 1]. */
  brightness: number;
}

/** Degrees, 0 for a face seen upright and from the front. Rough: see `poseOf`. */
export interface FacePose {
  /** Positive: turned to the right side of the image. */
  yaw: number;
  /** Positive: turned up. */
  pitch: number;
  /** Positive: clockwise. */
  roll: number;
}

/** A face with its embedding. */
export interface RepresentedFace extends FaceDetection {
  /** `Float32Array [D]`, unit length. */
  embedding: Float32Array;
  /** Length of the vector before normalization; `embedding * embeddingNorm` is the raw vector. */
  embeddingNorm: number;
  /** Present if requested, for a face with landmarks. */
  quality?: PixelQuality;
  /** Present if requested: the face with its surroundings, upright, as an encoded JPEG of at most 400 pixels a side. */
  crop?: Uint8Array;
}

/** A face with the requested estimated attributes. */
export interface AnalyzedFace extends FaceDetection {
  /** Estimated age in years. */
  age?: number;
  /** The gender with the larger score of the network. */
  gender?: Gender;
  /** Softmax outputs, [0, 1], sum 1. Not calibrated probabilities. */
  genderScores?: Record<Gender, number>;
  /** The expression with the largest score. */
  expression?: Expression;
  /** Softmax outputs, [0, 1], sum 1. Not calibrated probabilities. */
  expressionScores?: Record<Expression, number>;
  /** The label with the largest score, one of the model's card. */
  race?: string;
  /** Softmax outputs by the labels of the model's card, [0, 1], sum 1. Not calibrated probabilities. */
  raceScores?: Record<string, number>;
}

/** Milliseconds spent per stage for one image. Stages that did not run are 0. */
export interface StageTimings {
  /** Waiting for a free worker. */
  queueMs: number;
  decodeMs: number;
  /** Detection, landmarks included. */
  detectMs: number;
  alignMs: number;
  embedMs: number;
  /** Age, gender, expression and race. */
  attributesMs: number;
  presentationAttackMs: number;
  /**
   * Cache outcome; absent without a cache. `hit`: answered from the cache; `shared`: the same image was already in
   * progress, and its answer went to both; `miss`: processed.
   */
  cache?: CacheOutcome;
}

/** No stage ran. */
export const NO_TIMINGS: Readonly<Omit<StageTimings, 'cache'>> = {
  queueMs: 0,
  decodeMs: 0,
  detectMs: 0,
  alignMs: 0,
  embedMs: 0,
  attributesMs: 0,
  presentationAttackMs: 0,
};

/** Stages in their order for an image, with their field of {@link StageTimings}. */
export const STAGES = {
  queue: 'queueMs',
  decode: 'decodeMs',
  detect: 'detectMs',
  align: 'alignMs',
  embed: 'embedMs',
  attributes: 'attributesMs',
  presentation_attack: 'presentationAttackMs',
} as const satisfies Record<string, Exclude<keyof StageTimings, 'cache'>>;

export const CACHE_OUTCOMES = ['hit', 'shared', 'miss'] as const;
export type CacheOutcome = (typeof CACHE_OUTCOMES)[number];

/** Result of one image with its selected faces. */
export interface ImageFaces<F extends FaceDetection> {
  /** Width in pixels of the image as the file shows it (EXIF applied). */
  imageWidth: number;
  /** Height in pixels of the image as the file shows it (EXIF applied). */
  imageHeight: number;
  /**
   * Degrees clockwise, 0, 90, 180 or 270, by which the image was turned to find its faces upright. Boxes and landmarks are in
   * pixels of the image as the file shows it; left and right of the landmarks are those of the upright face.
   */
  rotation: number;
  /** Size of the picture given to the detector, as a fraction of the image, (0, 1]: below 1 if it was shrunk. */
  detectionScale: number;
  /** Number of selected faces not embedded because they are not plausibly aligned. */
  unalignedCount: number;
  /** Number of faces found, before selection and `maxFaces`; 0 if none was found or detection did not run. */
  faceCount: number;
  /** Selected faces: largest box first. */
  faces: F[];
  timings: StageTimings;
  /** Present if requested: sha256 of the encoded image, 64 hexadecimal digits. */
  imageHash?: string;
}

/**
 * Selected faces of an image: `best` the largest; `centerLargest` the largest after subtracting twice the squared
 * distance to the center; `single` the only one (several are FACE_AMBIGUOUS); `all` all faces.
 */
export const FACE_SELECTIONS = ['best', 'centerLargest', 'single', 'all'] as const;
export type FaceSelection = (typeof FACE_SELECTIONS)[number];

/**
 * Use of the whole image as the only face: `never`; `ifNoFace`: if none is found; `always`: without detection. Such a
 * face has no landmarks, so it is not aligned: the image should show a face and little else.
 */
export const WHOLE_IMAGE_MODES = ['never', 'ifNoFace', 'always'] as const;
export type WholeImageMode = (typeof WHOLE_IMAGE_MODES)[number];

/** Metrics for the distance of two embeddings. */
export const METRICS = ['cosine', 'euclidean', 'euclidean_l2', 'angular'] as const;
export type Metric = (typeof METRICS)[number];
