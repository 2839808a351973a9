import { InferenceSession, Tensor } from 'onnxruntime-node';
import { FaceError } from '../errors';
import type { ModelCard } from '../model-store/model-card';

/** One graph output. */
export interface OutputTensor {
  data: Float32Array;
  dims: readonly number[];
}

/** A loaded graph with one input. The pipeline knows only this, so that its specs need no runtime. */
export interface TensorSession {
  /** Runs the graph; outputs come in the order of the card. */
  run(data: Uint8Array | Float32Array, dims: number[]): Promise<OutputTensor[]>;
  release(): Promise<void>;
}

/**
 * Loads a graph and checks it against its card.
 *
 * @throws {FaceError} MODEL_INVALID where the runtime refuses the bytes, MODEL_SHAPE_MISMATCH where input or outputs
 * are not what the card says.
 */
export async function openSession(
  bytes: Uint8Array,
  card: ModelCard,
  intraOpThreads: number,
): Promise<TensorSession> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(bytes, {
      intraOpNumThreads: intraOpThreads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      // Spinning threads take the core away from decoding (docs/architecture.md).
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (error) {
    throw new FaceError(
      'MODEL_INVALID',
      `The runtime refuses the file of model ${card.name}.`,
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

type ValueMetadata = InferenceSession['inputMetadata'][number];

function checkShapes(session: InferenceSession, card: ModelCard, outputNames: (string | undefined)[]): void {
  const { layout, width, height, multipleOf, dtype, maxBatch } = card.input;
  if (session.inputNames.length !== 1) {
    throw mismatch(card, `one input`, `${session.inputNames.length} inputs`);
  }
  const h = multipleOf == null ? height : -1;
  const w = multipleOf == null ? width : -1;
  const batch = maxBatch === 1 ? -1 : maxBatch;
  const expected = layout === 'NHWC' ? [batch, h, w, 3] : [batch, 3, h, w];
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

/** A dimension of -1, or one that the graph leaves open, fits any; a batch of more than 1 must be left open. */
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
