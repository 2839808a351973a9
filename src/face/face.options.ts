import { join, resolve, sep } from 'node:path';
import { FaceError, type FaceErrorCode } from '../errors';
import { userCacheDir } from '../models/user-cache-dir';
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

/** Progress of preparing and loading models, at boot and when an operator loads one. */
export interface BootProgress {
  stage: 'prepare' | 'load';
  model: string;
  done: number;
  total: number;
}

/** Outcome of one image, for metrics and traces. Holds no image and no embedding. */
export interface ImageEvent {
  task: 'detect' | 'represent' | 'analyze';
  /** `null` where no detector ran. */
  detector: string | null;
  /** `null` for tasks without an embedder. */
  embedder: string | null;
  /** `ok`, or the code of the error. */
  outcome: 'ok' | FaceErrorCode;
  /** Milliseconds from the call to the answer. */
  totalMs: number;
  /** `null` where the image was not answered. */
  timings: StageTimings | null;
  /** Faces returned. */
  faceCount: number;
}

/** A message for the operator, for the log. */
export interface Notice {
  level: 'log' | 'warn';
  message: string;
}

/** The value follows from the machine. */
export type Auto = 'auto';

/** Place of cached answers: none, or the memory of the main process. */
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
   * Attribute models to load, by card name; without any there is no `analyze`. Of several for the same attribute the first
   * one estimates it.
   */
  attributeModels?: string[];
  /** Attributes that may be estimated. A model that estimates none of them is never loaded. */
  attributes?: readonly Attribute[];
  /**
   * Presentation attack models to load, by card name; calls with `presentationAttack` need at least one. Of several the mean
   * of the scores counts.
   */
  attackModels?: string[];
  /** Policy on presentation attacks for calls that set none; needs `attackModels` unless it is `off`. */
  presentationAttack?: PresentationAttackPolicy;
  /**
   * Folders with ONNX files, searched in order; each may have a `cards` folder that adds cards or overrides those of
   * the same name. The package's own cards and files are always read. By default the folder `models` of a checkout, or of
   * `cacheDir` where the package is installed.
   */
  modelDirs?: string[];
  /**
   * Folder for prepared models, see `prepareModels`. By default `$XDG_CACHE_HOME/likeness` or `~/.cache/likeness`, on macOS
   * `~/Library/Caches/likeness`, on Windows `%LOCALAPPDATA%\likeness`. `null`, also the default of a user without a home
   * folder: no model is prepared.
   */
  cacheDir?: string | null;
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
   * Whether models are optimized once per machine and mapped into every worker, so that all share one copy of the weights.
   * Where that fails, the plain file is loaded, and a notice says why.
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
   * are never unloaded. A call never loads a model again: an operator does.
   */
  idleTtlsMs?: Readonly<Record<string, number>>;
  /**
   * `'memory'` caches answers by the hash of the image, the models and the options. Embeddings are biometric data, so it is off
   * by default.
   */
  cache?: CacheKind;
  /** Largest size of the cache in bytes. */
  cacheBytes?: number;
  /** Lifetime of a cached answer in milliseconds. */
  cacheTtlMs?: number;
  /** JavaScript file of the worker process. Only test suites that run from TypeScript set it. */
  workerFile?: string;
  /** Called with the progress of preparing and loading. */
  onProgress?: (progress: BootProgress) => void;
  /** Called with the outcome of each image, in the asynchronous context of the call. */
  onImage?: (event: ImageEvent) => void;
  /** Called with messages for the operator: the plan of workers, an ended worker, an unloaded model. */
  onNotice?: (notice: Notice) => void;
}

const CALLBACKS = ['onProgress', 'onImage', 'onNotice'] as const;
type Callback = (typeof CALLBACKS)[number];

export type ResolvedFaceOptions = Required<Omit<FaceModuleOptions, Callback>> &
  Pick<FaceModuleOptions, Callback>;

/** Default memory for decoding one image, and the minimum that a common photo needs. */
export const DEFAULT_DECODE_BYTES = 256 * 1024 * 1024;
export const MIN_DECODE_BYTES = 64 * 1024 * 1024;

/** Time limit of decoding: harmless images take less than two seconds. */
const DECODE_TIMEOUT_MS = 10_000;

/** Folder `models` of this package. */
export const PACKAGE_MODELS_DIR = join(__dirname, '..', '..', 'models');

/**
 * Whether this package is installed, and no checkout. Nothing is written into it then: it may belong to another user, and
 * the next install replaces it.
 */
export const IS_INSTALLED = PACKAGE_MODELS_DIR.split(sep).includes('node_modules');

const USER_CACHE_DIR = userCacheDir();

/**
 * Default of {@link FaceModuleOptions.modelDirs}.
 *
 * @param cacheDir - see {@link FaceModuleOptions.cacheDir}.
 * @param isInstalled - {@link IS_INSTALLED}.
 */
export function defaultModelDirs(cacheDir: string | null, isInstalled = IS_INSTALLED): string[] {
  return isInstalled && cacheDir != null ? [join(cacheDir, 'models')] : [PACKAGE_MODELS_DIR];
}

/**
 * Defaults of the options.
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
  modelDirs: defaultModelDirs(USER_CACHE_DIR),
  cacheDir: USER_CACHE_DIR,
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

/** Limits of every image by these options. Decoding leaves half of the time of a request to the other stages. */
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
 * Fills in the defaults and checks all values.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the option.
 */
export function resolveFaceOptions(options: FaceModuleOptions = {}): ResolvedFaceOptions {
  const given = defined(options);
  const { cacheDir = DEFAULT_FACE_OPTIONS.cacheDir } = given;
  if (cacheDir !== null && (typeof cacheDir !== 'string' || cacheDir === '')) {
    throw invalid('cacheDir', 'must be a folder or null');
  }
  const resolved: ResolvedFaceOptions = {
    ...DEFAULT_FACE_OPTIONS,
    modelDirs: defaultModelDirs(cacheDir),
    ...given,
  };
  const unknown = Object.keys(given).filter(
    (name) => !Object.hasOwn(DEFAULT_FACE_OPTIONS, name) && !CALLBACKS.includes(name as Callback),
  );
  if (unknown.length > 0) throw invalid(unknown[0], 'is not an option of FaceModule');
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
  return {
    ...resolved,
    modelDirs: resolved.modelDirs.map((dir) => resolve(dir)),
    cacheDir: cacheDir === null ? null : resolve(cacheDir),
  };
}

function isIntegerIn(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function invalid(option: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Option ${option} ${problem}.`, { option });
}
