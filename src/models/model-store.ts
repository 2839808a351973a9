import { access, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FaceError } from '../errors';
import { compiledFileName, COMPILED_MODELS } from './compiled-models';
import { type ModelCard, parseModelCard } from './model-card';

/** A card and the path of its file. */
export interface StoredModel {
  card: ModelCard;
  /** Path of the ONNX file; `null` if no models folder has it. */
  path: string | null;
}

/** Files of a model that a worker loads. */
export interface ModelFile {
  card: ModelCard;
  /** Path of the ONNX file. */
  path: string;
  /** Path of its prepared graph for this machine; `null` without one: the worker then loads the ONNX file. */
  preparedPath: string | null;
}

/**
 * Reads every card and finds its file.
 *
 * @param cardDirs - folders with `<name>.json`, in order; a card in a later folder replaces one of the same name.
 * @param modelDirs - folders with ONNX files; the first with the file wins.
 * @throws {FaceError} MODEL_INVALID naming the card and every wrong field.
 */
export async function readModelStore(
  cardDirs: readonly string[],
  modelDirs: readonly string[],
): Promise<Map<string, StoredModel>> {
  const models = new Map<string, StoredModel>();
  for (const dir of cardDirs) {
    for (const file of (await listJson(dir)).sort()) {
      const card = parseModelCard(await readJson(join(dir, file)), file);
      models.set(card.name, { card, path: await findFile(onnxFileName(card), modelDirs) });
    }
  }
  return models;
}

/** Name of the ONNX file of a model, without folder. */
export function onnxFileName(card: ModelCard): string {
  return card.compiled ? compiledFileName(card.name) : (card.file as string);
}

/**
 * Finds a model by name.
 *
 * @throws {FaceError} MODEL_NOT_FOUND without a card or a file; MODEL_INVALID if the card pins no sha256.
 */
export function requireFile(
  store: ReadonlyMap<string, StoredModel>,
  name: string,
): { card: ModelCard; path: string } {
  const model = store.get(name);
  if (model == null) {
    throw new FaceError('MODEL_NOT_FOUND', `Model ${JSON.stringify(name)} has no card.`, {
      model: name,
      available: [...store.keys()],
    });
  }
  const { card, path } = model;
  if (path == null) {
    throw new FaceError(
      'MODEL_NOT_FOUND',
      `The file ${onnxFileName(card)} of model ${name} is not in any models folder. ${howToGet(card)}`,
      { model: name, file: onnxFileName(card) },
    );
  }
  if (card.sha256 == null) {
    throw new FaceError(
      'MODEL_INVALID',
      `The card of model ${name} has no sha256, because no single file of it is published. Put a copy of the card with the sha256 of your ${basename(path)} into the cards folder of your models folder.`,
      { model: name },
    );
  }
  return { card, path };
}

/** Command that puts the file of a model into the first models folder. */
export function commandToGet(name: string): string {
  return `likeness models ${Object.hasOwn(COMPILED_MODELS, name) ? 'compile' : 'pull'} ${name}`;
}

function howToGet({ name, source, download, compiled }: ModelCard): string {
  if (compiled) return `Compile it with: npx ${commandToGet(name)}`;
  const command = download == null ? '' : ` Download it with: npx ${commandToGet(name)}`;
  return `Its source: ${source}.${command}`;
}

async function listJson(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((file) => file.endsWith('.json'));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FaceError(
      'MODEL_INVALID',
      `The model card ${basename(path)} is not valid JSON.`,
      {},
      { cause: error },
    );
  }
}

async function findFile(file: string, dirs: readonly string[]): Promise<string | null> {
  for (const dir of dirs) {
    const path = join(dir, file);
    try {
      await access(path);
      return path;
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return null;
}
