import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { prepareInChild } from '../inference/prepare-models';
import { checkModelFile } from '../models/model-file';
import { modelId } from '../models/model-id';
import type { ModelCard } from '../models/model-card';
import { type ModelFile, readModelStore, requireFile, type StoredModel } from '../models/model-store';
import { PREPARED_WEIGHTS } from '../models/prepared-model';
import { PACKAGE_MODELS_DIR, type ResolvedFaceOptions } from './face.options';
import type { WorkersToEstimate } from './memory-plan';
import { type ModelSelection, modelsToLoad } from './model-selection';

/** A model that workers can load: its file exists and matches the checksum of the card. */
export interface LoadableModel extends ModelFile {
  /** See {@link modelId}. */
  id: string;
  /** Bytes of the file that is loaded. */
  bytes: number;
}

/**
 * Every model with a card: those of the package, then those of the models folders. Files are searched in the models folders,
 * then in the package, which carries the compiled ones.
 */
export function readStore(modelDirs: readonly string[]): Promise<Map<string, StoredModel>> {
  return readModelStore(
    [PACKAGE_MODELS_DIR, ...modelDirs].map((dir) => join(dir, 'cards')),
    [...modelDirs, PACKAGE_MODELS_DIR],
  );
}

const NO_CACHE_DIR = 'the user has no home folder for a cache. Set FACE_CACHE_DIR to a folder.';

type FileOptions = Pick<
  ResolvedFaceOptions,
  'modelDirs' | 'cacheDir' | 'prepareModels' | 'workerFile' | 'bootTimeoutMs' | 'onProgress' | 'onNotice'
>;

/**
 * Reads the cards, and lists the models of a selection.
 *
 * @param select - the selection, once the cards are read.
 * @throws {FaceError} MODEL_INVALID for a malformed card; the errors of `select`.
 */
export async function readSelection(
  { modelDirs }: Pick<FileOptions, 'modelDirs'>,
  select: (store: ReadonlyMap<string, StoredModel>) => ModelSelection,
): Promise<{ store: Map<string, StoredModel>; selection: ModelSelection; names: string[] }> {
  const store = await readStore(modelDirs);
  const selection = select(store);
  return { store, selection, names: modelsToLoad(selection, store) };
}

/**
 * Checks the files of these models, and prepares those that are not prepared yet.
 *
 * @param known - loaded models that stay: they are neither checked nor prepared again.
 * @throws {FaceError} MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH, MODEL_INVALID.
 */
export async function loadableModels(
  names: readonly string[],
  store: ReadonlyMap<string, StoredModel>,
  options: FileOptions,
  known: ReadonlyMap<string, LoadableModel> = new Map(),
): Promise<Map<string, LoadableModel>> {
  const files = names.filter((name) => !known.has(name)).map((name) => requireFile(store, name));
  for (const { card, path } of files) await checkModelFile(path, card);
  const preparedPaths = await prepare(files, options);
  const models = new Map<string, LoadableModel>();
  for (const name of names) {
    const { card, path } = requireFile(store, name);
    const preparedPath = preparedPaths.get(name) ?? null;
    const bytes =
      preparedPath == null ? await sizeOf(path) : await sizeOf(join(dirname(preparedPath), PREPARED_WEIGHTS));
    models.set(name, known.get(name) ?? { card, path, preparedPath, id: modelId(card), bytes });
  }
  return models;
}

/** Paths of the prepared models, by name; notices give the reasons for those that could not be prepared. */
async function prepare(
  files: readonly { card: ModelCard; path: string }[],
  { prepareModels, workerFile, cacheDir, bootTimeoutMs, onProgress, onNotice }: FileOptions,
): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  if (!prepareModels || files.length === 0) return paths;
  const results =
    cacheDir == null
      ? files.map(({ card: { name } }) => ({ name, reason: NO_CACHE_DIR }))
      : await prepareInChild({
          workerFile,
          models: files,
          cacheDir,
          limitMs: bootTimeoutMs,
          onProgress: (progress) => onProgress?.({ stage: 'prepare', ...progress }),
        });
  // A folder that cannot be written is one notice, not one per model.
  const namesByReason = new Map<string, string[]>();
  for (const result of results) {
    if ('preparedPath' in result) paths.set(result.name, result.preparedPath);
    else namesByReason.set(result.reason, [...(namesByReason.get(result.reason) ?? []), result.name]);
  }
  for (const [reason, names] of namesByReason) {
    const verb = names.length > 1 ? 'are' : 'is';
    const message = `${names.join(', ')} ${verb} not prepared, each worker loads a copy: ${reason}`;
    onNotice?.({ level: 'warn', message });
  }
  return paths;
}

/** Bytes of a file; 0 where it does not exist: a graph without large weights has no file for them. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** Weights of the models, for the memory plan. */
export function weightsOf(models: ReadonlyMap<string, LoadableModel>): WorkersToEstimate['models'] {
  return new Map(
    [...models.values()].map(({ path, preparedPath, bytes }) => [
      preparedPath ?? path,
      { bytes, isShared: preparedPath != null },
    ]),
  );
}

/** The workers of a resource plan that hold these models, for the memory plan. */
export function workersToEstimate(
  { workerCount, maxDecodeBytes }: Pick<WorkersToEstimate, 'workerCount' | 'maxDecodeBytes'>,
  models: ReadonlyMap<string, LoadableModel>,
): WorkersToEstimate {
  return { workerCount, maxDecodeBytes, models: weightsOf(models) };
}
