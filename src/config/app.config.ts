import { delimiter } from 'node:path';
import { FaceError } from '../errors';
import { DEFAULT_FACE_OPTIONS, FACE_OPTION_RANGES, type FaceModuleOptions } from '../face/face.options';

/** Nest's log levels: the named one and all that are graver are written. */
export const LOG_LEVELS = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const;
export type AppLogLevel = (typeof LOG_LEVELS)[number];

/** One environment variable. */
interface ConfigVariable {
  readonly type: 'integer' | 'text' | 'level' | 'list' | 'folders';
  readonly default: number | string | readonly string[];
  /** What the documentation shows where the default depends on the machine. */
  readonly defaultText?: string;
  /** Inclusive, integers only. */
  readonly range?: readonly [number, number];
  /** Lists only: an empty value stands for an empty list. */
  readonly allowEmpty?: boolean;
  readonly doc: string;
}

const faceInteger = (option: keyof typeof FACE_OPTION_RANGES, doc: string, defaultText?: string) => ({
  type: 'integer' as const,
  default: DEFAULT_FACE_OPTIONS[option],
  range: FACE_OPTION_RANGES[option],
  doc,
  defaultText,
});

const faceList = (option: 'detectors' | 'embedders' | 'attributeModels', doc: string) => ({
  type: 'list' as const,
  default: DEFAULT_FACE_OPTIONS[option],
  allowEmpty: option === 'attributeModels',
  doc,
});

/** Every environment variable of the service, in one table. README is tested against it. */
export const APP_CONFIG = {
  PORT: { type: 'integer', default: 3000, range: [0, 65_535], doc: 'Port to listen on; 0 picks a free one' },
  HOST: { type: 'text', default: '0.0.0.0', doc: 'Address to listen on' },
  LOG_LEVEL: {
    type: 'level',
    default: 'log',
    doc: `Least grave level that is logged: ${LOG_LEVELS.join(', ')}`,
  },
  FACE_DETECTORS: faceList('detectors', 'Detectors to load, separated by commas; the first is the default'),
  FACE_EMBEDDERS: faceList('embedders', 'Embedders to load, separated by commas; the first is the default'),
  FACE_ATTRIBUTE_MODELS: faceList(
    'attributeModels',
    'Models of age, gender and expression to load, separated by commas; empty to go without /v1/analyze',
  ),
  FACE_MODEL_DIRS: {
    type: 'folders',
    default: DEFAULT_FACE_OPTIONS.modelDirs,
    defaultText: 'models',
    doc: 'Folders with ONNX files, separated as in PATH; compiled models are written to the first',
  },
  FACE_WORKER_COUNT: faceInteger('workerCount', 'Inference workers (child processes)', 'number of cores'),
  FACE_INTRA_OP_THREADS: faceInteger('intraOpThreads', 'Threads inside one inference, per worker'),
  FACE_MAX_IMAGE_BYTES: faceInteger('maxImageBytes', 'Largest encoded image in bytes'),
  FACE_MAX_IMAGE_PIXELS: faceInteger('maxImagePixels', 'Largest image in pixels (width times height)'),
  FACE_MAX_FACES: faceInteger('maxFaces', 'Upper bound and default of `maxFaces`'),
  FACE_MAX_IMAGES: {
    type: 'integer',
    default: 16,
    range: [1, 256],
    doc: 'Most images in one call of /v1/represent',
  },
  FACE_MAX_JSON_BYTES: {
    type: 'integer',
    default: 32 * 1024 * 1024,
    range: [1024, 512 * 1024 * 1024],
    doc: 'Largest JSON body in bytes: it is parsed while no other request is; larger batches go as multipart',
  },
  FACE_QUEUE_SIZE: faceInteger('queueSize', 'Images that may wait for a worker before QUEUE_FULL'),
  FACE_QUEUE_BYTES: faceInteger(
    'queueBytes',
    'Bytes of the images that may wait, together, before QUEUE_FULL',
  ),
  FACE_REQUEST_TIMEOUT_MS: faceInteger(
    'requestTimeoutMs',
    'Milliseconds until an unanswered image is refused with INFERENCE_TIMEOUT',
  ),
  FACE_BOOT_TIMEOUT_MS: faceInteger(
    'bootTimeoutMs',
    'Milliseconds that a worker may take to load and warm its models',
  ),
} as const satisfies Record<string, ConfigVariable>;

type VariableName = keyof typeof APP_CONFIG;

/** Options of FaceModule that the environment sets. */
type FaceConfig = Required<Omit<FaceModuleOptions, 'onProgress' | 'workerFile'>>;

/** Settings of the service: frozen, made once from the environment by {@link loadAppConfig}. */
export class AppConfig {
  readonly port: number;
  readonly host: string;
  readonly logLevel: AppLogLevel;
  /** Most images in one call of /v1/represent. */
  readonly maxImages: number;
  /** Largest JSON body in bytes. */
  readonly maxJsonBytes: number;
  readonly face: Readonly<FaceConfig>;

  constructor(values: AppConfig) {
    Object.assign(this, values, { face: Object.freeze(values.face) });
    Object.freeze(this);
  }
}

/**
 * Reads the settings from an environment. Never changes it.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable, never its value; also for a FACE_ variable that does
 * not exist, so that a misspelt name does not pass for its default.
 */
export function loadAppConfig(env: NodeJS.ProcessEnv): AppConfig {
  const unknown = Object.keys(env).find((name) => name.startsWith('FACE_') && !(name in APP_CONFIG));
  if (unknown != null) throw invalid(unknown, 'is no variable of Likeness');
  return new AppConfig({
    port: integer(env, 'PORT'),
    host: text(env, 'HOST') ?? APP_CONFIG.HOST.default,
    logLevel: level(env, 'LOG_LEVEL'),
    maxImages: integer(env, 'FACE_MAX_IMAGES'),
    maxJsonBytes: integer(env, 'FACE_MAX_JSON_BYTES'),
    face: {
      detectors: list(env, 'FACE_DETECTORS', ','),
      embedders: list(env, 'FACE_EMBEDDERS', ','),
      attributeModels: list(env, 'FACE_ATTRIBUTE_MODELS', ','),
      modelDirs: list(env, 'FACE_MODEL_DIRS', delimiter),
      workerCount: integer(env, 'FACE_WORKER_COUNT'),
      intraOpThreads: integer(env, 'FACE_INTRA_OP_THREADS'),
      maxImageBytes: integer(env, 'FACE_MAX_IMAGE_BYTES'),
      maxImagePixels: integer(env, 'FACE_MAX_IMAGE_PIXELS'),
      maxFaces: integer(env, 'FACE_MAX_FACES'),
      queueSize: integer(env, 'FACE_QUEUE_SIZE'),
      queueBytes: integer(env, 'FACE_QUEUE_BYTES'),
      requestTimeoutMs: integer(env, 'FACE_REQUEST_TIMEOUT_MS'),
      bootTimeoutMs: integer(env, 'FACE_BOOT_TIMEOUT_MS'),
    },
  });
}

type NameOf<Type extends ConfigVariable['type']> = {
  [Name in VariableName]: (typeof APP_CONFIG)[Name]['type'] extends Type ? Name : never;
}[VariableName];

function text(env: NodeJS.ProcessEnv, name: VariableName): string | undefined {
  const value = env[name]?.trim();
  if (value === '') throw invalid(name, 'must not be empty');
  return value;
}

function integer(env: NodeJS.ProcessEnv, name: NameOf<'integer'>): number {
  const variable = APP_CONFIG[name];
  const [min, max] = variable.range;
  const value = text(env, name);
  if (value == null) return variable.default;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (!(number >= min && number <= max)) throw invalid(name, `must be an integer in [${min}, ${max}]`);
  return number;
}

function level(env: NodeJS.ProcessEnv, name: NameOf<'level'>): AppLogLevel {
  const value = text(env, name) ?? APP_CONFIG[name].default;
  const known = LOG_LEVELS.find((candidate) => candidate === value);
  if (known == null) throw invalid(name, `must be one of ${LOG_LEVELS.join(', ')}`);
  return known;
}

function list(env: NodeJS.ProcessEnv, name: NameOf<'list' | 'folders'>, separator: string): string[] {
  const variable: ConfigVariable = APP_CONFIG[name];
  if (variable.allowEmpty && env[name]?.trim() === '') return [];
  const items = text(env, name)
    ?.split(separator)
    .map((item) => item.trim());
  if (items?.includes(''))
    throw invalid(name, `must not hold an empty item between separators ("${separator}")`);
  return items ?? [...APP_CONFIG[name].default];
}

function invalid(variable: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Environment variable ${variable} ${problem}.`, { variable });
}
