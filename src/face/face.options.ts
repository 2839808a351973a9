import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { FaceError } from '../errors';

/** Told while models are compiled, loaded and warmed at boot. */
export interface BootProgress {
  stage: 'compile' | 'load';
  model: string;
  done: number;
  total: number;
}

/**
 * Options of {@link FaceModule}. All have defaults: {@link DEFAULT_FACE_OPTIONS}.
 *
 * @publicApi
 */
export interface FaceModuleOptions {
  /** Detectors to load, by card name; the first is the default. */
  detectors?: string[];
  /** Embedders to load, by card name; the first is the default. */
  embedders?: string[];
  /** Attribute models to load, by card name: one of each attribute task, or none to go without `analyze`. */
  attributeModels?: string[];
  /**
   * Folders with ONNX files, searched in order; each may have a `cards` folder that adds cards or overrides those of
   * the same name. The first is where compiled models are written. The package's own cards are always read.
   */
  modelDirs?: string[];
  /** Inference workers (child processes), [1, 256]. */
  workerCount?: number;
  /** Threads inside one inference, per worker, [1, 256]. More than 1 pays only with a single worker. */
  intraOpThreads?: number;
  /** Largest encoded image in bytes. */
  maxImageBytes?: number;
  /** Largest image in pixels (width times height), checked on the header before decoding. */
  maxImagePixels?: number;
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
  /** JavaScript file of the worker process. Only test suites that run from TypeScript set it. */
  workerFile?: string;
  /** Told about compiling and loading. */
  onProgress?: (progress: BootProgress) => void;
}

export type ResolvedFaceOptions = Required<Omit<FaceModuleOptions, 'onProgress'>> &
  Pick<FaceModuleOptions, 'onProgress'>;

/** Folder `models` of this package. */
export const PACKAGE_MODELS_DIR = join(__dirname, '..', '..', 'models');

/**
 * Values of options that are not given.
 *
 * @publicApi
 */
export const DEFAULT_FACE_OPTIONS: Readonly<ResolvedFaceOptions> = Object.freeze({
  detectors: ['ssd-mobilenetv1'],
  embedders: ['face-resnet-128'],
  attributeModels: ['age-gender', 'face-expression'],
  modelDirs: [PACKAGE_MODELS_DIR],
  // One worker per core with one thread each reaches the full throughput of the machine (docs/architecture.md).
  workerCount: Math.min(256, availableParallelism()),
  intraOpThreads: 1,
  maxImageBytes: 10 * 1024 * 1024,
  maxImagePixels: 50_000_000,
  maxFaces: 100,
  queueSize: 256,
  queueBytes: 256 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  bootTimeoutMs: 120_000,
  workerFile: join(__dirname, '..', 'inference', 'worker-main.js'),
});

/** Ranges of the numeric options, inclusive. */
export const FACE_OPTION_RANGES = {
  workerCount: [1, 256],
  intraOpThreads: [1, 256],
  maxImageBytes: [1, 1024 ** 3],
  maxImagePixels: [1, 1_000_000_000],
  maxFaces: [1, 10_000],
  queueSize: [1, 1_000_000],
  queueBytes: [1, 64 * 1024 ** 3],
  requestTimeoutMs: [1, 3_600_000],
  bootTimeoutMs: [1, 3_600_000],
} as const satisfies Partial<Record<keyof FaceModuleOptions, readonly [number, number]>>;

/**
 * Fills in the defaults and checks what is left.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the option.
 */
export function resolveFaceOptions(options: FaceModuleOptions = {}): ResolvedFaceOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const resolved: ResolvedFaceOptions = { ...DEFAULT_FACE_OPTIONS, ...given };
  const unknown = Object.keys(given).filter(
    (name) => !Object.hasOwn(DEFAULT_FACE_OPTIONS, name) && name !== 'onProgress',
  );
  if (unknown.length > 0) throw invalid(unknown[0], 'is no option of FaceModule');
  for (const [name, [min, max]] of Object.entries(FACE_OPTION_RANGES)) {
    const value = resolved[name as keyof typeof FACE_OPTION_RANGES];
    if (!Number.isInteger(value) || value < min || value > max) {
      throw invalid(name, `must be an integer in [${min}, ${max}]`);
    }
  }
  for (const name of ['detectors', 'embedders', 'attributeModels', 'modelDirs'] as const) {
    const value: unknown = resolved[name];
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string' || item === '')) {
      throw invalid(name, 'must be a list of names');
    }
    if (value.length === 0 && name !== 'attributeModels') throw invalid(name, 'must not be empty');
  }
  return { ...resolved, modelDirs: resolved.modelDirs.map((dir) => resolve(dir)) };
}

function invalid(option: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Option ${option} ${problem}.`, { option });
}
