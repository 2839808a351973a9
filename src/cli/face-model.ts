import { resolve } from 'node:path';
import type { AppConfig } from '../server/config/app.config';
import { loadAppConfig } from '../server/config/load-app-config';
import { FaceError } from '../errors';
import type { FaceModel } from '../face/face-model';
import {
  FACE_OPTION_RANGES,
  IS_INSTALLED,
  PACKAGE_MODELS_DIR,
  resolveFaceOptions,
} from '../face/face.options';
import { readStore } from '../face/model-files';
import { WorkerFaceModel } from '../face/worker-face-model';
import { machineLimits } from '../inference/machine-limits';
import type { ModelTask } from '../models/model-card';
import type { PresentationAttackPolicy } from '../pipeline/face.types';
import { printWarning, withNotices } from './print';

/** Models that a command needs. Absent names default to the first of the settings. */
export interface ModelNeeds {
  detector?: string;
  embedder?: string;
  /** @defaultValue false */
  attributes?: boolean;
  /** @defaultValue that of the settings */
  presentationAttack?: PresentationAttackPolicy;
  /**
   * Many images: with `auto` there is a worker per core.
   * @defaultValue false
   */
  isBatch?: boolean;
  /**
   * Images repeat: their answers are cached, up to FACE_CACHE_BYTES.
   * @defaultValue false
   */
  isCached?: boolean;
}

/** Settings of a command, with `auto` resolved. */
export type CommandSettings = AppConfig['face'] & { workerCount: number; intraOpThreads: number };

/**
 * Reads the settings from the environment. If FACE_WORKER_COUNT and FACE_INTRA_OP_THREADS are absent or `auto`, one
 * worker uses all cores, which is fastest for a single image; for many images there is a worker per core.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable.
 */
export function readSettings(isBatch = false): CommandSettings {
  const { face } = readConfig();
  const { cores } = machineLimits();
  const [workers, threads] = isBatch ? [cores, 1] : [1, cores];
  return {
    ...face,
    modelDirs: face.modelDirs.map((dir) => resolve(dir)),
    workerCount: face.workerCount === 'auto' ? workers : face.workerCount,
    intraOpThreads: face.intraOpThreads === 'auto' ? threads : face.intraOpThreads,
  };
}

/**
 * Folder for new model files: the first of the settings.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID where only the installed package is left, which nothing is written into.
 */
export function folderForModels({ modelDirs: [first] }: CommandSettings): string {
  if (!IS_INSTALLED || first !== PACKAGE_MODELS_DIR) return first;
  throw new FaceError(
    'FACE_OPTIONS_INVALID',
    'There is no folder for models: the user has no home folder for a cache. Set FACE_CACHE_DIR or FACE_MODEL_DIRS.',
    { variable: 'FACE_CACHE_DIR' },
  );
}

/**
 * Reads the FACE_* variables of the environment.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable.
 */
export function readConfig(): AppConfig {
  // PORT and the like belong to `serve`; a value meant for another program must not fail a command.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('FACE_')));
  return loadAppConfig(env);
}

const STAGE_DONE = { prepare: 'prepared', load: 'loaded' } as const;

/** Loads only the needed models, runs `work`, and always ends the workers. */
export async function withFaceModel<T>(
  needs: ModelNeeds,
  work: (model: FaceModel, settings: CommandSettings) => Promise<T>,
): Promise<T> {
  const { face: config } = readConfig();
  const settings = readSettings(needs.isBatch);
  await checkNames(needs, settings.modelDirs);
  const policy = needs.presentationAttack ?? settings.presentationAttack;
  const attackModels = policy === 'off' ? [] : settings.attackModels;
  const options = resolveFaceOptions({
    ...settings,
    // `auto` fits the workers into the memory budget.
    ...(needs.isBatch ? { workerCount: config.workerCount, intraOpThreads: config.intraOpThreads } : {}),
    ...(needs.isCached ? { cache: 'memory', cacheTtlMs: FACE_OPTION_RANGES.cacheTtlMs[1] } : {}),
    detectors: [needs.detector ?? settings.detectors[0]],
    embedders: [needs.embedder ?? settings.embedders[0]],
    attributeModels: needs.attributes ? settings.attributeModels : [],
    attackModels,
    // Without a model, the call itself fails with a clear error.
    presentationAttack: attackModels.length === 0 ? 'off' : policy,
  });
  const model = await withNotices('loading models', (tell) =>
    WorkerFaceModel.load({
      ...options,
      onProgress: ({ stage, model, done, total }) =>
        tell(`${STAGE_DONE[stage]} ${model} (${done} of ${total})`),
      onNotice: ({ level, message }) => {
        if (level === 'warn') printWarning(message);
      },
    }),
  );
  try {
    return await work(model, settings);
  } finally {
    await model.close();
  }
}

/** Rejects unknown names before anything is loaded. */
async function checkNames({ detector, embedder }: ModelNeeds, modelDirs: readonly string[]): Promise<void> {
  if (detector == null && embedder == null) return;
  const models = [...(await readStore(modelDirs)).values()];
  const check = (option: string, name: string | undefined, task: ModelTask) => {
    const available = models.filter(({ card }) => card.task === task).map(({ card }) => card.name);
    if (name == null || available.includes(name)) return;
    throw new FaceError(
      'MODEL_UNKNOWN',
      `Expected a known ${option} but received ${JSON.stringify(name)}. Known: ${available.join(', ')}.`,
      { field: option, available },
    );
  };
  check('detector', detector, 'detect');
  check('embedder', embedder, 'embed');
}

/** Adds the file name to errors of `work`. The user typed that name, so it may be shown. */
export async function aboutFile<T>(file: string, argument: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof FaceError ? error.withDetails({ field: argument, file, ...error.details }) : error;
  }
}
