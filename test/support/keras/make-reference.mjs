/**
 * Builds a network in TensorFlow.js with random weights, writes them as Keras files and the network's answer beside.
 *
 * A process of its own: h5wasm is an ES module, the weights take hundreds of megabytes, and TensorFlow.js refuses the
 * typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node make-reference.mjs '{"network":"facenet512","folder":"/tmp/x","seed":1,"batch":2,
 *                                  "files":[{"name":"weights.h5","layout":"weights","names":"own"}],"options":{}}'
 * Writes: the files, input.f32 (NHWC, BGR, in the range the network takes) and output-<i>.f32, all little-endian.
 * Prints: { input: shape, outputs: [{ file, shape, largest }] }.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KerasFile } from './keras-file.mjs';
import { startBackend, tf } from './layers.mjs';
import { NETWORKS } from './networks.mjs';
import { randomWeight, uniformSource } from './random-weights.mjs';

const {
  network,
  folder,
  seed = 1,
  batch = 1,
  files = [{ name: 'weights.h5' }],
  options = {},
} = JSON.parse(process.argv[2]);

await startBackend();
const { build, pixels, gain, weight } = NETWORKS[network];
const { input, fileOutputs, outputs } = build(options);
const model = tf.model({ inputs: input, outputs: fileOutputs });

function weightsOf(layer, index) {
  return layer.weights.map(({ originalName, shape }, part) => {
    const role = originalName.split('/').at(-1);
    const partSeed = seed * 1_000_003 + index * 8 + part;
    const range = weight?.(layer.name, role);
    const data = randomWeight(role, shape, partSeed, { gain: gain?.(layer.name), range });
    return { role, shape, data };
  });
}

const written = [];
for (const file of files) written.push(await KerasFile.create(join(folder, file.name), model, file));
for (const [index, layer] of model.layers.entries()) {
  const weights = weightsOf(layer, index);
  for (const file of written) file.writeLayer(index, weights);
  const values = weights.map(({ shape, data }) => tf.tensor(data, shape));
  layer.setWeights(values);
  tf.dispose(values);
}
for (const file of written) file.close();

const shape = [batch, ...input.shape.slice(1)];
const next = uniformSource(seed);
const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
for (let i = 0; i < values.length; i++) values[i] = pixels[0] + (pixels[1] - pixels[0]) * next();
const results = [tf.model({ inputs: input, outputs }).predict(tf.tensor(values, shape))].flat();

writeFileSync(join(folder, 'input.f32'), values);
const report = { input: shape, outputs: [] };
for (const [index, result] of results.entries()) {
  const data = result.dataSync();
  const file = `output-${index}.f32`;
  writeFileSync(join(folder, file), data);
  report.outputs.push({
    file,
    shape: result.shape,
    largest: data.reduce((a, b) => Math.max(a, Math.abs(b)), 0),
  });
}
process.stdout.write(JSON.stringify(report));
