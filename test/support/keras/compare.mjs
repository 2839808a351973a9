import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/**
 * Runs an ONNX file on the input of a reference (make-reference.mjs).
 *
 * The input of the graph is NCHW, BGR as the reference's, or bytes, NHWC RGB; its outputs are vectors or NHWC, in the order of the reference's.
 *
 * @returns answers: [{ data }], and differences: the largest of each output.
 */
export async function runOnReference(model, { folder, input, outputs }) {
  const readFloats = (file) => {
    const bytes = readFileSync(join(folder, file));
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  const session = await InferenceSession.create(model, { intraOpNumThreads: 2 });
  try {
    const [{ type }] = session.inputMetadata;
    const toInput = type === 'uint8' ? rgbBytes : channelsFirst;
    const { data, shape } = toInput(readFloats('input.f32'), input);
    const results = await session.run({ [session.inputNames[0]]: new Tensor(type, data, shape) });
    if (session.outputNames.length !== outputs.length) {
      throw new Error(`Expected ${outputs.length} outputs but the network has ${session.outputNames.length}`);
    }
    const differences = session.outputNames.map((name, index) => {
      const { data: answer, dims } = results[name];
      const { file, shape: expectedShape } = outputs[index];
      if (dims.join() !== expectedShape.join()) {
        throw new Error(`Expected the shape [${expectedShape}] of ${name} but the network answers [${dims}]`);
      }
      return largestDifference(answer, readFloats(file));
    });
    return { answers: session.outputNames.map((name) => ({ data: results[name].data })), differences };
  } finally {
    await session.release();
  }
}

/** BGR to RGB, as whole numbers. */
function rgbBytes(data, shape) {
  const bytes = Uint8Array.from(data, (_, i) => Math.round(data[i - (i % 3) + 2 - (i % 3)]));
  return { data: bytes, shape };
}

/** [N, H, W, C] to [N, C, H, W]. */
function channelsFirst(data, [batch, height, width, channels]) {
  const result = new Float32Array(data.length);
  const area = height * width;
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < area; i++) result[at++] = data[(n * area + i) * channels + c];
    }
  }
  return { data: result, shape: [batch, channels, height, width] };
}

/** What is not a number is infinitely far. */
function largestDifference(a, b) {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}
