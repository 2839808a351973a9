import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { FaceError } from '../errors';
import type { ModelCard } from '../models/model-card';
import { externalOffsets } from '../models/onnx/external-offsets';
import { rewriteModel } from '../models/onnx/rewrite-model';
import { PREPARED_GRAPH, PREPARED_WEIGHTS } from '../models/prepared-model';
import { toInputTensor } from './input-tensor';

/**
 * Weights of fewer bytes stay in the graph file. The runtime writes the others one after the other, and its kernels crash on
 * weights that do not begin at a multiple of the size of a vector (SIGSEGV, onnxruntime-node 1.30.0): so the first of these
 * sizes is taken that leaves all others aligned, and with the last one nothing is mapped.
 */
const MIN_MAPPED_BYTES = [4096, 65_536, 1_048_576, Number.MAX_SAFE_INTEGER];
/** Alignment of mapped weights in bytes: that of the runtime's own allocations. */
const ALIGNMENT = 64;
/** Images of the run that compares: some kernels run only for more than one. */
const COMPARED_BATCH = 2;
/** Largest difference between the outputs of a prepared model and of its file, relative, absolute below 1. */
const MAX_DIFFERENCE = 1e-5;

/** One graph output. */
export interface OutputTensor {
  data: Float32Array;
  dims: readonly number[];
}

/** A loaded graph with one input. The pipeline depends only on this interface, so that its specs need no runtime. */
export interface TensorSession {
  /** Runs the graph; outputs are in the order of the card. */
  run(data: Uint8Array | Float32Array, dims: number[]): Promise<OutputTensor[]>;
  release(): Promise<void>;
}

/**
 * Loads a graph and checks it against its card.
 *
 * @param source - bytes of a model file, or path of a prepared graph: its weights are mapped, and shared with all other
 * processes that map them.
 * @throws {FaceError} MODEL_INVALID if the runtime refuses it, MODEL_SHAPE_MISMATCH if input or outputs differ from the
 * card.
 */
export function openSession(
  source: Uint8Array | string,
  card: ModelCard,
  intraOpThreads: number,
): Promise<TensorSession> {
  return open(source, card, sessionOptions(intraOpThreads, typeof source === 'string' ? 'disabled' : 'all'));
}

/**
 * Rewrites a graph for speed ({@link rewriteModel}), optimizes it for this machine and writes it for mapping by
 * {@link openSession}: {@link PREPARED_GRAPH} and, prepacked, {@link PREPARED_WEIGHTS}. Then runs the original and the
 * written graph once on the same pixels.
 *
 * @param directory - folder of the two files.
 * @throws {FaceError} as {@link openSession}; INFERENCE_FAILED if the written graph returns other outputs.
 */
export async function prepareSession(bytes: Uint8Array, directory: string, card: ModelCard): Promise<void> {
  const path = join(directory, PREPARED_GRAPH);
  const options = sessionOptions(1, 'all');
  const rewritten = rewriteModel(bytes);
  const optimized = await optimize(rewritten, directory, card, options);
  let plain = optimized;
  if (rewritten !== bytes) {
    await optimized.release();
    plain = await open(bytes, card, options);
  }
  const batch = Math.min(COMPARED_BATCH, card.input.maxBatch);
  const expected = await runNoise(plain, card, batch);
  const received = await runNoise(await openSession(path, card, 1), card, batch);
  if (expected.some((output, index) => !isSame(output, received[index]))) {
    throw new FaceError(
      'INFERENCE_FAILED',
      `The prepared model ${card.name} has other outputs than its file.`,
    );
  }
}

/** Writes the optimized graph, with as many weights in a file of their own as can be mapped. */
async function optimize(
  bytes: Uint8Array,
  directory: string,
  card: ModelCard,
  options: ReturnType<typeof sessionOptions>,
): Promise<TensorSession> {
  const [graph, weights] = [PREPARED_GRAPH, PREPARED_WEIGHTS].map((name) => join(directory, name));
  for (const minBytes of MIN_MAPPED_BYTES) {
    await Promise.all([rm(graph, { force: true }), rm(weights, { force: true })]);
    const session = await open(bytes, card, {
      ...options,
      optimizedModelFilePath: graph,
      extra: {
        session: {
          ...options.extra.session,
          optimized_model_external_initializers_file_name: PREPARED_WEIGHTS,
          optimized_model_external_initializers_min_size_in_bytes: String(minBytes),
          save_external_prepacked_constant_initializers: '1',
        },
      },
    });
    if (externalOffsets(await readFile(graph)).every((offset) => offset % ALIGNMENT === 0)) return session;
    await session.release();
  }
  throw new FaceError('INFERENCE_FAILED', `The weights of model ${card.name} cannot be mapped.`);
}

function sessionOptions(
  intraOpThreads: number,
  graphOptimizationLevel: 'all' | 'disabled',
): InferenceSession.SessionOptions & { extra: { session: Record<string, unknown> } } {
  return {
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: 1,
    graphOptimizationLevel,
    // The memory pattern of a run takes a second block beside the arena, and makes no run faster.
    enableMemPattern: false,
    logSeverityLevel: 3,
    // Spinning threads take the core away from decoding (docs/architecture.md).
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

async function open(
  source: Uint8Array | string,
  card: ModelCard,
  options: InferenceSession.SessionOptions,
): Promise<TensorSession> {
  let session: InferenceSession;
  try {
    // Declared with one overload for each type, but not for their union.
    session = await InferenceSession.create(source as Uint8Array, options);
  } catch (error) {
    throw new FaceError(
      'MODEL_INVALID',
      `The runtime cannot load the file of model ${card.name}.`,
      {},
      { cause: error },
    );
  }
  const outputNames = card.outputs.map((output, index) => output.name ?? session.outputNames[index]);
  try {
    checkShapes(session, card, outputNames);
  } catch (error) {
    await session.release();
    throw error;
  }
  const inputName = session.inputNames[0];
  return {
    async run(data, dims) {
      const tensor =
        card.input.dtype === 'uint8'
          ? new Tensor('uint8', data as Uint8Array, dims)
          : new Tensor('float32', data as Float32Array, dims);
      const results = await session.run({ [inputName]: tensor }, outputNames);
      return outputNames.map((name) => ({
        data: results[name].data as Float32Array,
        dims: results[name].dims,
      }));
    },
    release: () => session.release(),
  };
}

/**
 * Loads a file unoptimized, and runs it once on reproducible noise.
 *
 * @throws {FaceError} as {@link openSession}.
 */
export async function runOnce(path: string, card: ModelCard): Promise<OutputTensor[]> {
  return runNoise(await openSession(path, card, 1), card, 1);
}

/** Runs reproducible noise, and releases the session. */
async function runNoise(
  session: TensorSession,
  { input }: ModelCard,
  batch: number,
): Promise<OutputTensor[]> {
  const { width, height } = input;
  const pixels = new Uint8Array(batch * width * height * 3);
  // Linear congruential generator; the upper bits are random enough for pixels.
  for (let i = 0, state = 1; i < pixels.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[i] = state >>> 24;
  }
  try {
    const { data, dims } = toInputTensor(pixels, batch, width, height, input);
    const outputs = await session.run(data, dims);
    // Copied, because the runtime does not define the lifetime of outputs after the session is released.
    return outputs.map((output) => ({ ...output, data: output.data.slice() }));
  } finally {
    await session.release();
  }
}

function isSame(expected: OutputTensor, received: OutputTensor): boolean {
  if (expected.dims.join() !== received.dims.join()) return false;
  return expected.data.every((value, i) => {
    const other = received.data[i];
    const isClose = Math.abs(value - other) <= MAX_DIFFERENCE * Math.max(1, Math.abs(value));
    // A value that overflows in one overflows in the other.
    return isClose || Object.is(value, other);
  });
}

type ValueMetadata = InferenceSession['inputMetadata'][number];

function checkShapes(session: InferenceSession, card: ModelCard, outputNames: (string | undefined)[]): void {
  const { layout, width, height, channels = 3, multipleOf, dtype, maxBatch } = card.input;
  if (session.inputNames.length !== 1) {
    throw mismatch(card, `one input`, `${session.inputNames.length} inputs`);
  }
  const h = multipleOf == null ? height : -1;
  const w = multipleOf == null ? width : -1;
  const batch = maxBatch === 1 ? -1 : maxBatch;
  const expected = layout === 'NHWC' ? [batch, h, w, channels] : [batch, channels, h, w];
  const input = session.inputMetadata[0];
  if (!matches(input, dtype, expected, maxBatch > 1)) {
    throw mismatch(card, `input ${dtype} [${expected.join(', ')}]`, describe(input));
  }
  card.outputs.forEach(({ dims }, index) => {
    const found = session.outputMetadata.find(({ name }) => name === outputNames[index]);
    if (found == null || !matches(found, 'float32', dims, false)) {
      throw mismatch(
        card,
        `output ${outputNames[index] ?? index} float32 [${dims.join(', ')}]`,
        found == null ? `outputs ${session.outputNames.join(', ')}` : describe(found),
      );
    }
  });
}

/** A dimension of -1, or an open one in the graph, matches any; a batch of more than 1 must be open. */
function matches(found: ValueMetadata, type: string, dims: readonly number[], openBatch: boolean): boolean {
  if (!found.isTensor || found.type !== type || found.shape.length !== dims.length) return false;
  return found.shape.every((size, axis) => {
    const isOpen = typeof size === 'string' || size < 0;
    if (axis === 0 && openBatch) return isOpen;
    return isOpen || dims[axis] === -1 || size === dims[axis];
  });
}

function describe(value: ValueMetadata): string {
  return value.isTensor ? `${value.type} [${value.shape.join(', ')}]` : 'no tensor';
}

function mismatch(card: ModelCard, expected: string, received: string): FaceError {
  return new FaceError(
    'MODEL_SHAPE_MISMATCH',
    `Expected ${expected} for model ${card.name} but its file has ${received}.`,
    { model: card.name },
  );
}
