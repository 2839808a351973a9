/**
 * Writes goldens.json: what face-api itself answers on the synthetic pictures of golden-inputs.cjs.
 *
 * Run by hand, only when pictures or networks change: node test/golden/make-goldens.mjs
 *
 * The pictures have the exact input size of each network, so that the peer does not resize them.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import inputs from './golden-inputs.cjs';

const require = createRequire(import.meta.url);
const tfjs = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const ANCHORS_KEPT = 20;
const ANCHOR_STEP = 50;

/** Float32 needs at most nine digits; eight are far below the tolerances of the spec. */
const round = (values) => Array.from(values, (value) => Number(value.toPrecision(8)));

/** The best anchors of one picture and a sample of the others: their numbers, scores and boxes (four values each). */
function sampleAnchors(boxes, scores) {
  const best = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
  const kept = new Set(best.slice(0, ANCHORS_KEPT));
  for (let anchor = 0; anchor < scores.length; anchor += ANCHOR_STEP) kept.add(anchor);
  const anchors = [...kept];
  return {
    anchors,
    scores: round(anchors.map((anchor) => scores[anchor])),
    boxes: round(anchors.flatMap((anchor) => Array.from(boxes.subarray(anchor * 4, anchor * 4 + 4)))),
  };
}

/** For each network: its name in face-api, and how its answer becomes the JSON that is kept. */
const PEERS = {
  'ssd-mobilenetv1': {
    net: faceapi.nets.ssdMobilenetv1,
    keep: ({ boxes, scores }) => sampleAnchors(boxes[0].dataSync(), scores[0].dataSync()),
  },
  'face-landmark-68': {
    net: faceapi.nets.faceLandmark68Net,
    keep: (output) => ({ landmarks: round(output.dataSync()) }),
  },
  'face-resnet-128': {
    net: faceapi.nets.faceRecognitionNet,
    keep: (output) => ({ embedding: round(output.dataSync()) }),
  },
  'age-gender': {
    net: faceapi.nets.ageGenderNet,
    keep: ({ age, gender }) => ({ age: round(age.dataSync()), gender: round(gender.dataSync()) }),
  },
  'face-expression': {
    net: faceapi.nets.faceExpressionNet,
    keep: (output) => ({ expressions: round(output.dataSync()) }),
  },
};

wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out/'));
await tfjs.setBackend('wasm');
await tfjs.ready();
const facePackage = require.resolve('@vladmandic/face-api/package.json');

const networks = {};
for (const [name, { size }] of Object.entries(inputs.NETWORKS)) {
  const { net, keep } = PEERS[name];
  await net.loadFromDisk(join(dirname(facePackage), 'model'));
  networks[name] = {};
  for (const kind of inputs.KINDS) {
    const pixels = inputs.goldenInput(kind, size);
    const image = tfjs.tensor4d(pixels, [1, size, size, 3], 'int32');
    const output = await net.forward(image);
    networks[name][kind] = {
      inputSha256: createHash('sha256').update(pixels).digest('hex'),
      ...keep(output),
    };
  }
}

const madeWith = {
  faceApi: require(facePackage).version,
  tfjs: tfjs.version.tfjs,
  backend: tfjs.getBackend(),
};
// One line for each list of numbers: thousands of lines otherwise.
const json = JSON.stringify({ madeWith, networks }, null, 2).replace(/\[[^\]]*\]/g, (list) =>
  list.replace(/\s+/g, ''),
);
await writeFile(new URL('goldens.json', import.meta.url), `${json}\n`);
