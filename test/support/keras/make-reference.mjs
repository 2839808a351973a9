/**
 * Builds networks in TensorFlow.js with random weights, writes them as files of Keras or PyTorch (.pth), and the networks' answers beside.
 *
 * A process of its own: h5wasm is an ES module, the weights take hundreds of megabytes, and TensorFlow.js refuses the
 * typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node make-reference.mjs '{"folders":{"facenet512":"/tmp/x"},"seed":1,"batch":2,
 *                                  "files":[{"name":"weights.h5","layout":"weights","names":"own"}],"options":{}}'
 * Networks of one call have the same input, and the layers in common that networks.mjs says.
 * Writes into the folder of each: the files, input.f32 (NHWC, BGR, in the range the network takes) and output-<i>.f32,
 * all little-endian.
 * Prints: { "<network>": { input: shape, outputs: [{ file, shape, largest }] } }.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TorchFile } from '../torch/torch-weights.mjs';
import { KerasFile } from './keras-file.mjs';
import { startBackend, tf } from './layers.mjs';
import { NETWORKS } from './networks.mjs';
import { randomWeight, uniformSource } from './random-weights.mjs';

const {
  folders,
  seed = 1,
  batch = 1,
  files = [{ name: 'weights.h5' }],
  options = {},
} = JSON.parse(process.argv[2]);

await startBackend();
const networks = Object.entries(folders).map(([name, folder]) => {
  const { build, ...settings } = NETWORKS[name];
  const { input, fileOutputs, outputs } = build(options);
  return { name, folder, settings, input, outputs, model: tf.model({ inputs: input, outputs: fileOutputs }) };
});
const [{ input, settings }] = networks;

function weightsOf(layer, index) {
  const roles = layer.weights.map(({ originalName }) => originalName.split('/').at(-1));
  return layer.weights.map(({ shape }, part) => {
    const role = roles[part];
    const data = randomWeight(role, shape, seed * 1_000_003 + index * 8 + part, {
      gain: settings.gain?.(layer.name),
      range: settings.weight?.(layer.name, role),
      isScaled: roles.includes('gamma'),
    });
    return { role, shape, data };
  });
}

const written = [];
for (const { folder, model } of networks) {
  for (const file of files) {
    const FileFormat = file.name.endsWith('.pth') ? TorchFile : KerasFile;
    written.push({ model, file: await FileFormat.create(join(folder, file.name), model, file) });
  }
}
const layers = [...new Set(networks.flatMap(({ model }) => model.layers))];
for (const [index, layer] of layers.entries()) {
  const weights = weightsOf(layer, index);
  for (const { model, file } of written) {
    const place = model.layers.indexOf(layer);
    if (place >= 0) file.writeLayer(place, weights);
  }
  const values = weights.map(({ shape, data }) => tf.tensor(data, shape));
  layer.setWeights(values);
  tf.dispose(values);
}
for (const { file } of written) file.close();

const shape = [batch, ...input.shape.slice(1)];
const next = uniformSource(seed);
const [from, to] = settings.pixels;
const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
// Levels that a picture can have, so that the input can be handed in as one.
for (let i = 0; i < values.length; i++) values[i] = from + ((to - from) * Math.floor(next() * 256)) / 255;
const ends = networks.flatMap(({ outputs }) => outputs);
const results = [tf.model({ inputs: input, outputs: ends }).predict(tf.tensor(values, shape))].flat();

const report = {};
for (const { name, folder, outputs } of networks) {
  writeFileSync(join(folder, 'input.f32'), values);
  const described = outputs.map((output, index) => {
    const result = results[ends.indexOf(output)];
    const data = result.dataSync();
    const file = `output-${index}.f32`;
    writeFileSync(join(folder, file), data);
    return { file, shape: result.shape, largest: data.reduce((a, b) => Math.max(a, Math.abs(b)), 0) };
  });
  report[name] = { input: shape, outputs: described };
}
process.stdout.write(JSON.stringify(report));
