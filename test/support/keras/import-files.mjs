/**
 * Makes Keras files of a small network, sound ones and all kinds of bad ones, and imports each.
 *
 * A process of its own, because h5wasm is an ES module and onnxruntime-node refuses the typed arrays of Jest's sandbox
 * (jestjs/jest#11864).
 *
 * Usage: node import-files.mjs <empty folder>
 * Prints: { "<case>": { code, message, layer } or { sha256 }, with `left`: the files in the models folder afterwards }.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { File, ready } from 'h5wasm/node';
import importer from '../../../dist/model-tools/import/import-model.js';
import sessions from '../../../dist/pipeline/tensor-session.js';

await ready;
const folder = process.argv[2];

const license = { name: 'none', commercialUse: false };
const thresholds = { cosine: { maxDistance: 0.5, source: 'none' } };
const architecture = {
  build(net) {
    let x = net.conv(net.input([4, 4, 3]), 2, 3, { name: 'conv' });
    x = net.batchNorm(x, { name: 'norm' });
    net.output('embedding', net.dense(net.flatten(x), 4, { name: 'out' }));
  },
  card: {
    title: 'Small network',
    task: 'embed',
    family: 'upright-crop',
    input: {
      width: 4,
      height: 4,
      layout: 'NCHW',
      dtype: 'float32',
      colorOrder: 'BGR',
      mean: [0, 0, 0],
      std: [255, 255, 255],
      maxBatch: 2,
    },
    outputs: [{ name: 'embedding', dims: [-1, 4] }],
    embedding: { dimensions: 4, mirrorAverage: false, thresholds },
    license,
    source: 'a test',
  },
};

/** Layers of the file as a plain object; what a case changes, it changes there. */
function layers() {
  const tensor = (...shape) => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.1 + (i % 7) / 10),
  });
  return {
    conv: { 'kernel:0': tensor(3, 3, 3, 2), 'bias:0': tensor(2) },
    norm: {
      'gamma:0': tensor(2),
      'beta:0': tensor(2),
      'moving_mean:0': tensor(2),
      'moving_variance:0': tensor(2),
    },
    out: { 'kernel:0': tensor(8, 4), 'bias:0': tensor(4) },
  };
}

function writeKeras(path, content, { names = Object.keys(content), root = '', then } = {}) {
  const file = new File(path, 'w');
  const group = root === '' ? file : file.create_group(root);
  if (names != null) group.create_attribute('layer_names', names, [names.length], 'S40');
  for (const [layer, tensors] of Object.entries(content)) {
    const outer = group.create_group(layer);
    const weights = Object.keys(tensors).map((name) => `${layer}/${name}`);
    outer.create_attribute('weight_names', weights, [weights.length], 'S40');
    const inner = outer.create_group(layer);
    for (const [name, options] of Object.entries(tensors)) {
      if (options.data != null) inner.create_dataset({ name, dtype: '<f', ...options });
    }
  }
  then?.(file);
  file.close();
}

const results = {};
let count = 0;

async function attempt(name, file, { models = mkdtempSync(join(folder, 'models-')), ...options } = {}) {
  let result;
  try {
    const { card } = await importer.importModel({
      name: 'small',
      architecture,
      file,
      folder: models,
      run: sessions.runOnce,
      ...options,
    });
    result = { sha256: card.sha256 };
  } catch (error) {
    result = { code: error.code ?? `${error}`, message: error.message, layer: error.details?.layer };
  }
  const left = readdirSync(models, { recursive: true, withFileTypes: true });
  results[name] = {
    ...result,
    left: left.filter((entry) => !entry.isDirectory()).map((entry) => entry.name),
  };
  return models;
}

/** A case whose file is that of a sound one, changed. */
async function changed(name, change, options) {
  const content = layers();
  const path = join(folder, `${count++}.h5`);
  writeKeras(path, change(content) ?? content, options);
  await attempt(name, path);
  return path;
}

const sound = await changed('sound', () => undefined);
await changed('whole model', () => undefined, { root: 'model_weights' });
await changed('other names, same order', ({ conv, norm, out }) => ({
  conv2d_7: conv,
  bn_3: norm,
  dense_1: out,
}));
await changed('gzip', ({ conv, out }) => {
  Object.assign(conv['kernel:0'], { chunks: [2, 3, 2, 2], compression: 'gzip' });
  Object.assign(out['kernel:0'], { chunks: [4, 4], compression: 9 });
});
await changed('layers without weights among others', (content) => ({ pad: {}, ...content, flatten: {} }));
await changed('names in several attributes', () => undefined, {
  names: null,
  then: (file) => {
    file.create_attribute('layer_names0', ['conv', 'norm'], [2], 'S4');
    file.create_attribute('layer_names1', ['out'], [1], 'S4');
  },
});

const text = join(folder, 'text.h5');
writeFileSync(text, 'not HDF5 at all\n'.repeat(1000));
await attempt('text', text);
writeFileSync(join(folder, 'empty.h5'), '');
await attempt('empty', join(folder, 'empty.h5'));
await attempt('absent', join(folder, 'absent.h5'));
await attempt('folder', folder);
execFileSync('mkfifo', [join(folder, 'pipe.h5')]);
await attempt('pipe', join(folder, 'pipe.h5'));

await changed('layer missing', ({ conv, out }) => ({ conv, out }));
await changed('layer too many', (content) => ({ ...content, more: content.norm }));
await changed('layer named, not there', ({ conv, norm, out }) => ({ conv, norm, out }), {
  names: ['conv', 'norm', 'gone'],
});
await changed('tensor named, not there', ({ conv }) => void (conv['bias:0'] = {}));
await changed('tensor missing', ({ norm }) => void delete norm['beta:0']);
await changed('other shape', ({ out }) => void (out['kernel:0'].shape = [4, 8]));
await changed('twice the same layer', () => undefined, { names: ['conv', 'conv', 'norm'] });
await changed('no names', () => undefined, { names: null });
await changed('names are numbers', () => undefined, {
  names: null,
  then: (file) => file.create_attribute('layer_names', Int32Array.of(1, 2, 3)),
});
await changed('NaN', ({ out }) => void (out['bias:0'].data[3] = NaN));
await changed('Infinity', ({ norm }) => void (norm['moving_mean:0'].data[0] = -Infinity));
await changed('values that overflow', ({ conv, out }) => {
  conv['kernel:0'].data.fill(3e38);
  out['kernel:0'].data.fill(3e38);
});
await changed('integers', ({ conv }) => {
  conv['bias:0'] = { data: Int32Array.of(1, 2), shape: [2], dtype: '<i' };
});
await changed('a tensor that says it is huge', ({ out }) => void (out['kernel:0'] = {}), {
  then: (file) => {
    const group = file.get('out/out');
    const options = { data: new Float32Array(32), shape: [8, 4], maxshape: [null, null], chunks: [8, 4] };
    group.create_dataset({ name: 'kernel:0', dtype: '<f', ...options }).resize([2 ** 40, 2 ** 20]);
  },
});
await changed('layer in another file', ({ conv, norm }) => ({ conv, norm }), {
  names: ['conv', 'norm', 'out'],
  then: (file) => file.create_external_link('/etc/passwd', '/out', 'out'),
});
await changed('links in a circle', ({ conv, norm }) => ({ conv, norm }), {
  names: ['conv', 'norm', 'out'],
  then: (file) => {
    file.create_soft_link('/again', 'out');
    file.create_soft_link('/out', 'again');
  },
});
await changed('groups in a circle', () => undefined, {
  then: (file) => file.create_hard_link('/', 'conv/root'),
});

const odd = JSON.parse(readFileSync(new URL('odd-files.json', import.meta.url)));
for (const [kind, bytes] of Object.entries(odd)) {
  const path = join(folder, `odd-${count++}.h5`);
  writeFileSync(path, gunzipSync(Buffer.from(bytes, 'base64')));
  await attempt(kind, path);
}

const taken = await attempt('again: first', sound);
await attempt('again: taken', sound, { models: taken });
await attempt('again: forced', sound, { models: taken, force: true });
await attempt('again: forced, bad file', text, { models: taken, force: true });
for (const place of ['small.onnx', 'cards/small.json']) {
  const linked = mkdtempSync(join(folder, 'models-'));
  mkdirSync(join(linked, 'cards'));
  symlinkSync(join(folder, 'elsewhere'), join(linked, place));
  await attempt(`link at ${place}`, sound, { models: linked, force: true });
}
const blocked = mkdtempSync(join(folder, 'models-'));
writeFileSync(join(blocked, 'cards'), '');
await attempt('cards is a file', sound, { models: blocked });
await attempt('normalization', sound, { normalization: 'Facenet2018' });

// Cut short and damaged anywhere: whatever becomes of it, it is an import, or a coded error without a trace.
const bytes = readFileSync(sound);
const damaged = join(folder, 'damaged.h5');
for (let i = 0; i < 64; i++) {
  const at = Math.floor((bytes.length * i) / 64);
  writeFileSync(damaged, bytes.subarray(0, at));
  await attempt(`cut at ${at}`, damaged);
  for (const value of [0x00, 0xff]) {
    const copy = Buffer.from(bytes);
    copy.fill(value, at, at + 24);
    writeFileSync(damaged, copy);
    await attempt(`${value} at ${at}`, damaged);
  }
}

process.stdout.write(JSON.stringify(results));
