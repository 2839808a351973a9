/**
 * Runs compiled models on the pictures of golden-inputs.cjs and prints what they answer, as JSON.
 *
 * A process of its own, because onnxruntime-node refuses the typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node run-onnx.mjs '{"<model name>":"<path of the .onnx file>"}'
 * Prints: { "<model name>": { pictures: { "<kind>": { sha256, outputs } }, batch: outputs } }, where `outputs` maps
 * output names to flat lists and `batch` is the answer to all pictures at once.
 */
import { createHash } from 'node:crypto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import inputs from '../golden/golden-inputs.cjs';

const { KINDS, NETWORKS, goldenInput } = inputs;

async function answer(session, pixels, batch, size) {
  const results = await session.run({ image: new Tensor('uint8', pixels, [batch, size, size, 3]) });
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data)]));
}

async function runModel(name, file) {
  const { size } = NETWORKS[name];
  const session = await InferenceSession.create(file, { intraOpNumThreads: 1 });
  const pixels = KINDS.map((kind) => goldenInput(kind, size));
  const pictures = {};
  for (const [i, kind] of KINDS.entries()) {
    const sha256 = createHash('sha256').update(pixels[i]).digest('hex');
    pictures[kind] = { sha256, outputs: await answer(session, pixels[i], 1, size) };
  }
  const batch = await answer(session, Buffer.concat(pixels), pixels.length, size);
  await session.release();
  return { pictures, batch };
}

const report = {};
for (const [name, file] of Object.entries(JSON.parse(process.argv[2]))) {
  report[name] = await runModel(name, file);
}
process.stdout.write(JSON.stringify(report));
