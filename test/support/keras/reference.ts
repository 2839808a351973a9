import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** How a file of Keras is laid out and named; see keras-file.mjs. */
export interface KerasFileOptions {
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

/** Builds a network of networks.mjs in TensorFlow.js and writes what it answers into `folder`. */
export async function makeReference(
  network: string,
  folder: string,
  options: ReferenceOptions = {},
): Promise<Reference> {
  return (await makeReferences({ [network]: folder }, options))[network];
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

/** Runs an ONNX file on the input of a reference: how far each of its outputs is from the reference's at most. */
export async function compareOnnx(
  model: string,
  reference: Reference,
): Promise<{ name: string; shape: number[]; largestDifference: number }[]> {
  const request = JSON.stringify({ model, ...reference });
  const { stdout } = await run(process.execPath, [join(__dirname, 'compare-onnx.mjs'), request]);
  return JSON.parse(stdout) as { name: string; shape: number[]; largestDifference: number }[];
}
