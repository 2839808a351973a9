import { join, resolve } from 'node:path';
import { FaceError, type FaceErrorCode } from '../errors';
import type { ImageLimits } from '../pipeline/image/image-limits';
import {
  type Attribute,
  ATTRIBUTES,
  PRESENTATION_ATTACK_POLICIES,
  type PresentationAttackPolicy,
  type StageTimings,
} from '../pipeline/face.types';
import { defined } from './defined';
import { type DecisionDefaults, DEFAULT_DECISION, REVIEW_MARGIN_RANGE, TARGET_RANGE } from './thresholds';

/** Told while models are prepared, loaded and warmed, at boot and when an operator loads one. */
export interface BootProgress {
  stage: 'prepare' | 'load';
  model: string;
  done: number;
  total: number;
}

/** What became of one image: for metrics and traces. Holds no image and no embedding. */
export interface ImageEvent {
  task: 'detect' | 'represent' | 'analyze';
  /** `null` where none was run. */
  detector: string | null;
  /** `null` where the task needs none. */
  embedder: string | null;
  /** `ok`, or the code of the error. */
  outcome: 'ok' | FaceErrorCode;
  /** Milliseconds from the call to the answer. */
  totalMs: number;
  /** `null` where the image was not answered. */
  timings: StageTimings | null;
  /** Faces that were answered with. */
  faceCount: number;
}

/** Something that an operator should read in the log. */
export interface Notice {
  level: 'log' | 'warn';
  message: string;
}

/** What is decided by the machine where nothing is given. */
export type Auto = 'auto';

/** Where answers are kept: nowhere, or in the memory of the main process. */
export const CACHE_KINDS = ['off', 'memory'] as const;
export type CacheKind = (typeof CACHE_KINDS)[number];

/**
 * Options of {@link FaceModule}. All have defaults: {@link DEFAULT_FACE_OPTIONS}.
 *
 * @publicApi
 */
export interface FaceModuleOptions extends Partial<DecisionDefaults> {
  /** Detectors to load, by card name; the first is the default. */
  detectors?: string[];
  /** Embedders to load, by card name; the first is the default. */
  embedders?: string[];
  /**
   * Attribute models to load, by card name; none to go without `analyze`. Of several that estimate the same attribute the
   * first does.
   */
  attributeModels?: string[];
  /** Attributes that may be estimated. A model that estimates none of them is not loaded, whoever asks for it. */
  attributes?: readonly Attribute[];
  /**
   * Presentation attack models to load, by card name; none where no call asks for `presentationAttack`. Of several the
   * mean of the scores counts.
   */
  attackModels?: string[];
  /** What calls do about presentation attacks that do not say it themselves; needs `attackModels` but for `off`. */
  presentationAttack?: PresentationAttackPolicy;
  /**
   * Folders with ONNX files, searched in order; each may have a `cards` folder that adds cards or overrides those of
   * the same name. Prepared models are written to the first. The package's own cards and files are always read.
   */
  modelDirs?: string[];
  /** Inference workers (child processes), [1, 256]; `'auto'`: one per core, fewer where the memory budget is small. */
  workerCount?: number | Auto;
  /**
   * Threads inside one inference, per worker, [1, 256]; `'auto'`: the cores divided by the workers. More than 1 pays only
   * with fewer workers than cores.
   */
  intraOpThreads?: number | Auto;
  /**
   * Bytes that the server and its workers may take together; a load that would not fit is refused. `'auto'`: the limit
   * of the container, or 80 % of the memory of the machine.
   */
  memoryBudgetBytes?: number | Auto;
  /**
   * Whether models are optimised once per machine and mapped into every worker, so that all share one copy of the
   * weights. Where that fails the plain file is loaded, and a notice says why.
   */
  prepareModels?: boolean;
  /** Largest encoded image in bytes. */
  maxImageBytes?: number;
  /** Largest image in pixels (width times height), checked on the header before decoding. */
  maxImagePixels?: number;
  /**
   * Memory that decoding one image may take, in bytes, estimated from its header: a limit of pixels for each format. The
   * memory plan counts it for every worker. `'auto'`: 256 MiB, less where the budget leaves less to a single worker, but
   * never less than 64 MiB.
   */
  maxDecodeBytes?: number | Auto;
  /** Upper bound and default of `maxFaces`. */
  maxFaces?: number;
  /** Images that may wait for a worker; one more is refused with QUEUE_FULL. */
  queueSize?: number;
  /** Bytes of the images that may wait, together; more is refused with QUEUE_FULL. */
  queueBytes?: number;
  /** Milliseconds until an unanswered image is refused with INFERENCE_TIMEOUT. */
  requestTimeoutMs?: number;
  /** Milliseconds that a worker may take to load and warm its models. */
  bootTimeoutMs?: number;
  /**
   * Milliseconds without a call after which a model is unloaded, by card name. The first detector and the first embedder
   * stay whatever is said here. A call never loads a model again: an operator does.
   */
  idleTtlsMs?: Readonly<Record<string, number>>;
  /**
   * `'memory'` keeps answers by the hash of the image, the models and the options. Embeddings are biometric data: off
   * unless asked for.
   */
  cache?: CacheKind;
  /** Most bytes of answers that the cache keeps. */
  cacheBytes?: number;
  /** Milliseconds that an answer is kept. */
  cacheTtlMs?: number;
  /** JavaScript file of the worker process. Only test suites that run from TypeScript set it. */
  workerFile?: string;
  /** Told about preparing and loading. */
  onProgress?: (progress: BootProgress) => void;
  /** Told what became of each image, in the asynchronous context of the call. */
  onImage?: (event: ImageEvent) => void;
  /** Told what an operator should read: the plan of workers, a worker that ended, a model that was unloaded. */
  onNotice?: (notice: Notice) => void;
}

const CALLBACKS = ['onProgress', 'onImage', 'onNotice'] as const;
type Callback = (typeof CALLBACKS)[number];

export type ResolvedFaceOptions = Required<Omit<FaceModuleOptions, Callback>> &
  Pick<FaceModuleOptions, Callback>;

/** What decoding one image may take where nothing is given, and the least that leaves room for a common photo. */
export const DEFAULT_DECODE_BYTES = 256 * 1024 * 1024;
export const MIN_DECODE_BYTES = 64 * 1024 * 1024;

/** An image that is not decoded within so many milliseconds never will be: honest ones take less than two seconds. */
const DECODE_TIMEOUT_MS = 10_000;

/** Folder `models` of this package. */
export const PACKAGE_MODELS_DIR = join(__dirname, '..', '..', 'models');

/**
 * Values of options that are not given.
 *
 * @publicApi
 */
export const DEFAULT_FACE_OPTIONS: Readonly<ResolvedFaceOptions> = Object.freeze({
  detectors: ['rfb-320'],
  embedders: ['mobilefacenet-512'],
  attributeModels: ['age-gender', 'face-expression'],
  attributes: ATTRIBUTES,
  attackModels: [],
  presentationAttack: 'off',
  modelDirs: [PACKAGE_MODELS_DIR],
  workerCount: 'auto',
  intraOpThreads: 'auto',
  memoryBudgetBytes: 'auto',
  prepareModels: true,
  maxImageBytes: 10 * 1024 * 1024,
  maxImagePixels: 50_000_000,
  maxDecodeBytes: 'auto',
  maxFaces: 100,
  queueSize: 256,
  queueBytes: 256 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  bootTimeoutMs: 120_000,
  idleTtlsMs: Object.freeze({}),
  cache: 'off',
  cacheBytes: 64 * 1024 * 1024,
  cacheTtlMs: 10 * 60_000,
  ...DEFAULT_DECISION,
  workerFile: join(__dirname, '..', 'inference', 'worker-main.js'),
});

/** Range of every value of `idleTtlsMs`, inclusive. */
export const IDLE_TTL_RANGE = [1000, 7 * 24 * 3_600_000] as const;

/** Ranges of the numeric options, inclusive. */
export const FACE_OPTION_RANGES = {
  workerCount: [1, 256],
  intraOpThreads: [1, 256],
  memoryBudgetBytes: [64 * 1024 ** 2, 1024 ** 4],
  maxImageBytes: [1, 1024 ** 3],
  maxImagePixels: [1, 1_000_000_000],
  maxDecodeBytes: [MIN_DECODE_BYTES, 64 * 1024 ** 3],
  maxFaces: [1, 10_000],
  queueSize: [1, 1_000_000],
  queueBytes: [1, 64 * 1024 ** 3],
  requestTimeoutMs: [1, 3_600_000],
  bootTimeoutMs: [1, 3_600_000],
  cacheBytes: [1024, 64 * 1024 ** 3],
  cacheTtlMs: [1, 7 * 24 * 3_600_000],
} as const satisfies Partial<Record<keyof FaceModuleOptions, readonly [number, number]>>;

/** Ranges of the error rates and of the review margin, inclusive. */
export const DECISION_RANGES = {
  targetFmr: TARGET_RANGE,
  targetFpir: TARGET_RANGE,
  reviewMargin: REVIEW_MARGIN_RANGE,
} as const satisfies Record<keyof DecisionDefaults, readonly [number, number]>;

/** Limits of every image by these options. Decoding leaves half of the time of a request to what else there is to do. */
export function imageLimitsOf({
  maxImagePixels,
  maxDecodeBytes,
  requestTimeoutMs,
}: Pick<ResolvedFaceOptions, 'maxImagePixels' | 'maxDecodeBytes' | 'requestTimeoutMs'>): ImageLimits {
  return {
    maxPixels: maxImagePixels,
    maxDecodeBytes: maxDecodeBytes === 'auto' ? DEFAULT_DECODE_BYTES : maxDecodeBytes,
    decodeTimeoutMs: Math.min(DECODE_TIMEOUT_MS, requestTimeoutMs / 2),
  };
}

/**
 * Fills in the defaults and checks what is left.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the option.
 */
export function resolveFaceOptions(options: FaceModuleOptions = {}): ResolvedFaceOptions {
  const given = defined(options);
  const resolved: ResolvedFaceOptions = { ...DEFAULT_FACE_OPTIONS, ...given };
  const unknown = Object.keys(given).filter(
    (name) => !Object.hasOwn(DEFAULT_FACE_OPTIONS, name) && !CALLBACKS.includes(name as Callback),
  );
  if (unknown.length > 0) throw invalid(unknown[0], 'is no option of FaceModule');
  for (const [name, [min, max]] of Object.entries(FACE_OPTION_RANGES)) {
    const value = resolved[name as keyof typeof FACE_OPTION_RANGES];
    if (value === 'auto' && DEFAULT_FACE_OPTIONS[name as keyof typeof FACE_OPTION_RANGES] === 'auto')
      continue;
    if (!isIntegerIn(value, min, max)) throw invalid(name, `must be an integer in [${min}, ${max}]`);
  }
  for (const [name, [min, max]] of Object.entries(DECISION_RANGES)) {
    const value: unknown = resolved[name as keyof DecisionDefaults];
    if (!(typeof value === 'number' && value >= min && value <= max)) {
      throw invalid(name, `must be a number in [${min}, ${max}]`);
    }
  }
  if (typeof resolved.prepareModels !== 'boolean') throw invalid('prepareModels', 'must be true or false');
  if (!CACHE_KINDS.includes(resolved.cache)) {
    throw invalid('cache', `must be one of ${CACHE_KINDS.join(', ')}`);
  }
  if (!Object.values(resolved.idleTtlsMs ?? [null]).every((ms) => isIntegerIn(ms, ...IDLE_TTL_RANGE))) {
    throw invalid('idleTtlsMs', `must hold integers in [${IDLE_TTL_RANGE.join(', ')}]`);
  }
  if (!PRESENTATION_ATTACK_POLICIES.includes(resolved.presentationAttack)) {
    throw invalid('presentationAttack', `must be one of ${PRESENTATION_ATTACK_POLICIES.join(', ')}`);
  }
  for (const name of ['detectors', 'embedders', 'attributeModels', 'attackModels', 'modelDirs'] as const) {
    const value: unknown = resolved[name];
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string' || item === '')) {
      throw invalid(name, 'must be a list of names');
    }
    const mayBeEmpty = name === 'attributeModels' || name === 'attackModels';
    if (value.length === 0 && !mayBeEmpty) throw invalid(name, 'must not be empty');
  }
  if (!Array.isArray(resolved.attributes) || resolved.attributes.some((name) => !ATTRIBUTES.includes(name))) {
    throw invalid('attributes', `must be a list of ${ATTRIBUTES.join(', ')}`);
  }
  if (resolved.presentationAttack !== 'off' && resolved.attackModels.length === 0) {
    throw invalid('presentationAttack', 'must be off where attackModels is empty');
  }
  return { ...resolved, modelDirs: resolved.modelDirs.map((dir) => resolve(dir)) };
}

function isIntegerIn(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function invalid(option: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Option ${option} ${problem}.`, { option });
}
