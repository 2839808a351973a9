import { createHash } from 'node:crypto';
import { lstat, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FaceError } from '../../errors';
import { type TemporaryFile, writeTemporary } from '../../models/write-atomically';
import { type ModelCard, parseModelCard } from '../../models/model-card';
import { OnnxGraph } from '../onnx/onnx-builder';
import type { Architecture, KerasArchitecture, TorchArchitecture } from './architectures/architecture';
import { importError } from './import-error';
import { KerasNetwork, matchLayers } from './keras-network';
import { KerasWeights } from './keras-weights';
import { type Normalization, normalized } from './normalizations';
import { StateDict } from './torch/state-dict';

/** Version of the output. Raise it when the bytes change. */
const IMPORTER_VERSION = '1';

export interface ImportOptions {
  /** Name of the card. */
  name: string;
  architecture: Architecture;
  /** Path of the weights file: Keras or PyTorch, by the architecture. */
  file: string;
  /** Models folder for the ONNX file, created if absent; its card goes into `cards` there. */
  folder: string;
  /** Embedders only. @defaultValue 'base' */
  normalization?: Normalization;
  /** Whether to replace a model with the same name. @defaultValue false */
  force?: boolean;
  /** Runs a file once on any image, and returns the outputs; throws if the runtime refuses it. */
  run: (path: string, card: ModelCard) => Promise<readonly { data: Float32Array }[]>;
  /** Aborts the import with an error, before any file is replaced. */
  signal?: AbortSignal;
  /** Called as weights are written, in bytes. */
  onProgress?: (done: number, total: number) => void;
}

/** An imported model. */
export interface ImportedModel {
  card: ModelCard;
  /** Path of the ONNX file. */
  path: string;
}

/** Weights of an open file. */
interface OpenWeights {
  /** Adds the network with its weights to an empty graph; the weights may be read only when it is written. */
  addTo(graph: OnnxGraph): void;
  close(): void;
}

/**
 * Creates an ONNX file and a card from weights saved by Keras or PyTorch. The same file always produces the same bytes.
 *
 * Weights of Keras pass through memory one tensor at a time. The file is run once before it replaces an earlier one;
 * the card follows last. A failure leaves nothing behind, and existing files stay.
 *
 * @throws {FaceError} MODEL_IMPORT_FAILED if the file is damaged or holds no weights of that architecture;
 * FACE_OPTIONS_INVALID if the folder is not writable; PARAMETER_INVALID if the model already exists.
 */
export async function importModel(options: ImportOptions): Promise<ImportedModel> {
  const { name, architecture, folder, force = false } = options;
  const card = plainCard(name, architecture, options.normalization);
  const path = join(folder, `${name}.onnx`);
  const cardPath = join(folder, 'cards', `${name}.json`);
  for (const target of [path, cardPath]) await assertFree(target, name, force);
  await assertPlainFile(options.file);
  const weights =
    'build' in architecture ? await openKeras(architecture, options) : await openTorch(architecture, options);
  const made: TemporaryFile[] = [];
  try {
    const graph = new OnnxGraph(name, IMPORTER_VERSION);
    weights.addTo(graph);
    await makeFolder(join(folder, 'cards'));
    const { model, sha256, bytes } = await writeModel(graph, path);
    made.push(model);
    const pinned = parseModelCard({ ...card, sha256, bytes }, `${name}.json`);
    await assertRuns(model.path, pinned, options.run);
    made.push(await writeTemporary(cardPath, [Buffer.from(`${JSON.stringify(pinned, null, 2)}\n`)]));
    assertGoesOn(options.signal);
    for (const file of made) await file.publish();
    return { card: pinned, path };
  } finally {
    weights.close();
    for (const file of made) await file.discard();
  }
}

function assertGoesOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw importError('The import was stopped.');
}

function plainCard(
  name: string,
  { card }: Architecture,
  normalization: Normalization | undefined,
): Omit<ModelCard, 'sha256' | 'bytes'> {
  if (normalization == null) return { name, file: `${name}.onnx`, ...card };
  if (card.task !== 'embed') {
    throw new FaceError(
      'PARAMETER_INVALID',
      `Only embedders have a normalization; ${name} is not an embedder.`,
      {
        fields: ['normalization'],
      },
    );
  }
  return { name, file: `${name}.onnx`, ...card, input: normalized(card.input, normalization) };
}

/** A link in place of a file is neither followed nor replaced: its target may belong to anyone. */
async function assertFree(path: string, name: string, force: boolean): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw unwritable(error);
  });
  if (found == null) return;
  if (!found.isFile()) {
    throw importError(`The path of ${name} in the models folder exists and is not a regular file.`);
  }
  if (!force) {
    throw new FaceError(
      'PARAMETER_INVALID',
      `The models folder already has ${name}; use --force to replace it.`,
      {
        fields: ['force'],
      },
    );
  }
}

async function openKeras(
  { build }: KerasArchitecture,
  { file, signal, onProgress }: ImportOptions,
): Promise<OpenWeights> {
  const weights = await KerasWeights.open(file);
  return {
    addTo: (graph) => {
      const net = new KerasNetwork();
      build(net);
      const layers = matchLayers(net.weightedLayers(), weights.layers);
      let done = 0;
      const total = net.write(graph, layers, (layer, tensor, place) => {
        assertGoesOn(signal);
        const data = weights.read(layer, tensor, place);
        onProgress?.((done += data.byteLength), total);
        return data;
      });
    },
    close: () => weights.close(),
  };
}

async function openTorch(
  { write }: TorchArchitecture,
  { file, onProgress }: ImportOptions,
): Promise<OpenWeights> {
  const weights = await StateDict.open(file);
  return {
    addTo: (graph) => {
      write(graph, weights);
      weights.assertAllUsed();
      onProgress?.(weights.byteLength, weights.byteLength);
    },
    close: () => undefined,
  };
}

async function assertPlainFile(file: string): Promise<void> {
  let isFile: boolean;
  try {
    isFile = (await stat(file)).isFile();
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw importError(`The weights file cannot be read (${code}).`, {}, error);
  }
  // Opening a pipe would block forever.
  if (!isFile) throw importError('The weights file is not a regular file.');
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw unwritable(error as NodeJS.ErrnoException);
  }
}

function unwritable(cause: NodeJS.ErrnoException): FaceError {
  return new FaceError(
    'FACE_OPTIONS_INVALID',
    `The models folder, the target of imported models, cannot be written (${cause.code ?? 'unknown error'}).`,
    { option: 'modelDirs' },
    { cause },
  );
}

async function writeModel(
  graph: OnnxGraph,
  path: string,
): Promise<{ model: TemporaryFile; sha256: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  function* hashed(): Generator<Uint8Array> {
    for (const piece of graph.toPieces()) {
      hash.update(piece);
      bytes += piece.length;
      yield piece;
    }
  }
  const model = await writeTemporary(path, hashed()).catch((error: NodeJS.ErrnoException) => {
    throw error instanceof FaceError || error.syscall == null ? error : unwritable(error);
  });
  return { model, sha256: hash.digest('hex'), bytes };
}

async function assertRuns(path: string, card: ModelCard, run: ImportOptions['run']): Promise<void> {
  let outputs: Awaited<ReturnType<ImportOptions['run']>>;
  try {
    outputs = await run(path, card);
  } catch (error) {
    throw importError('The runtime cannot load the network with these weights.', {}, error);
  }
  if (outputs.some(({ data }) => data.some((value) => !Number.isFinite(value)))) {
    throw importError('The network with these weights returns values that are not finite.');
  }
}
