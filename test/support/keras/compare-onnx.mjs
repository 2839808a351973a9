/**
 * Runs an imported network on the input of a reference (make-reference.mjs) and says how far its answers are.
 *
 * A process of its own, because onnxruntime-node refuses the typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node compare-onnx.mjs '{"model":"/tmp/x/facenet.onnx","folder":"/tmp/x","input":[1,160,160,3],
 *                                "outputs":[{"file":"output-0.f32","shape":[1,128]}]}'
 * Input and outputs of the ONNX graph may be NCHW where the reference is NHWC. Its outputs are taken in their order.
 * Prints: [{ name, shape, largestDifference }].
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const { model, folder, input, outputs } = JSON.parse(process.argv[2]);

function readFloats(file) {
  const bytes = readFileSync(join(folder, file));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** [N, H, W, C] to [N, C, H, W]. */
function channelsFirst(data, [batch, height, width, channels]) {
  const result = new Float32Array(data.length);
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < height * width; i++) result[at++] = data[(n * height * width + i) * channels + c];
    }
  }
  return { data: result, shape: [batch, channels, height, width] };
}

const equal = (a, b) => a.length === b.length && a.every((size, i) => size === b[i]);

/** The reference in the layout of `shape`, which is its own or the one with channels first. */
function layOut(data, reference, shape) {
  if (equal(reference, shape)) return data;
  if (reference.length === 4) {
    const moved = channelsFirst(data, reference);
    if (equal(moved.shape, shape)) return moved.data;
  }
  throw new Error(`Expected the shape [${reference}] but the network answers [${shape}]`);
}

const session = await InferenceSession.create(model, { intraOpNumThreads: 2 });
const pixels = readFloats('input.f32');
const declared = session.inputMetadata[0].shape;
// The channels are the fixed dimension that the reference has last.
const feed = declared[1] === input[3] ? channelsFirst(pixels, input) : { data: pixels, shape: input };
const answers = await session.run({ [session.inputNames[0]]: new Tensor('float32', feed.data, feed.shape) });
if (session.outputNames.length !== outputs.length) {
  throw new Error(`Expected ${outputs.length} outputs but the network has ${session.outputNames.length}`);
}
const report = session.outputNames.map((name, index) => {
  const { data, dims } = answers[name];
  const expected = layOut(readFloats(outputs[index].file), outputs[index].shape, dims);
  // NaN is compared as infinitely far, as Math.max would otherwise hand on whichever comes last.
  const largestDifference = data.reduce((largest, value, i) => {
    const difference = Math.abs(value - expected[i]);
    return Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }, 0);
  return { name, shape: [...dims], largestDifference };
});
await session.release();
process.stdout.write(JSON.stringify(report));
