import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ModelCard } from '../../../src/models/model-card';

const run = promisify(execFile);

/** How a file of Keras is laid out and named; see keras-file.mjs. */
interface KerasFileOptions {
  /** Name of the file in the folder of the reference. */
  name: string;
  /** `weights` (save_weights, the default) or `model` (a whole model). */
  layout?: 'weights' | 'model';
  /** `own` (the default): the names the code of the network gives. `numbered`: by the order of the layers alone. */
  names?: 'own' | 'numbered';
}

/** What make-reference.mjs is asked for. */
export interface ReferenceOptions {
  seed?: number;
  /** Pictures in the input, 1 by default. */
  batch?: number;
  /** Files of the same weights; `weights.h5` by default. */
  files?: KerasFileOptions[];
  /** For the builder of the network: `height` and `width` of RetinaFace's input. */
  options?: Record<string, number>;
}

/** A network of test/support/keras with random weights: its Keras files, an input and its answer, in `folder`. */
export interface Reference {
  folder: string;
  /** Shape of input.f32, NHWC. */
  input: number[];
  outputs: { file: string; shape: number[]; largest: number }[];
}

/**
 * Builds several networks with one body at once, for the time that takes one of them.
 *
 * @param folders - the folder of each network.
 */
export async function makeReferences(
  folders: Record<string, string>,
  options: ReferenceOptions = {},
): Promise<Record<string, Reference>> {
  const request = JSON.stringify({ folders, ...options });
  const { stdout } = await run(process.execPath, [join(__dirname, 'make-reference.mjs'), request]);
  const report = JSON.parse(stdout) as Record<string, Omit<Reference, 'folder'>>;
  return Object.fromEntries(
    Object.entries(report).map(([name, reference]) => [name, { folder: folders[name], ...reference }]),
  );
}

/** What {@link importModels} is asked for, one model. */
export interface ImportRequest {
  architecture: string;
  /** Path of the Keras file. */
  file: string;
  /** Models folder to write into. */
  folder: string;
  force?: boolean;
  /** What the imported network is held against; absent where the import is expected to fail. */
  reference?: Reference;
}

/** Card and, for each output of the reference, the largest difference; or the error of the importer. */
export type ImportOutcome =
  | { card: ModelCard; differences: number[]; error?: undefined }
  | { error: { code: string; message: string; details: Record<string, unknown> }; card?: undefined };

/** Imports Keras files with the importer of `dist/`, one after the other in a process of their own. */
export async function importModels(requests: ImportRequest[]): Promise<ImportOutcome[]> {
  const { stdout } = await run(process.execPath, [
    join(__dirname, 'import-models.mjs'),
    JSON.stringify(requests),
  ]);
  return JSON.parse(stdout) as ImportOutcome[];
}
