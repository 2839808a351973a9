/**
 * Runs graphs with one float32 input on the same noise and prints their first outputs, as JSON.
 *
 * A process of its own, because onnxruntime-node refuses the typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node run-graphs.mjs <file.onnx>...
 * Prints: one flat list per file. Open dimensions are 2.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';

const outputs = [];
for (const file of process.argv.slice(2)) {
  const session = await InferenceSession.create(file, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'disabled',
  });
  const dims = session.inputMetadata[0].shape.map((size) =>
    typeof size === 'string' || size < 0 ? 2 : size,
  );
  const length = dims.reduce((product, size) => product * size, 1);
  // From -1 to 1, half of it negative.
  const noise = Float32Array.from({ length }, (_, i) => (Math.imul(i + 1, 2654435761) >> 8) / 2 ** 23);
  const results = await session.run({ [session.inputNames[0]]: new Tensor('float32', noise, dims) });
  outputs.push(Array.from(results[session.outputNames[0]].data));
  await session.release();
}
process.stdout.write(JSON.stringify(outputs));
