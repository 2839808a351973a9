import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { now } from './load.mjs';
import { samples } from './service.mjs';

/*
 * Child process of the peer scenario: face-api on its wasm backend, one verification after the other, in the way of its
 * own Node examples: decode (sharp), detect the best face, landmarks, descriptor, distance.
 */

const require = createRequire(import.meta.url);
const tfjs = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

// As the workers of Likeness: one image at a time, on one core.
sharp.concurrency(1);
wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out/'));
await tfjs.setBackend('wasm');
await tfjs.ready();
if (tfjs.getBackend() !== 'wasm') throw new Error(`Expected backend wasm but it is ${tfjs.getBackend()}.`);
const models = join(dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');
const { ssdMobilenetv1, faceLandmark68Net, faceRecognitionNet } = faceapi.nets;
for (const net of [ssdMobilenetv1, faceLandmark68Net, faceRecognitionNet]) await net.loadFromDisk(models);
const options = new faceapi.SsdMobilenetv1Options();

const images = samples.map((path) => readFileSync(path));
let next = 0;
let isStopped = true;

process.on('message', ({ type }) => {
  isStopped = type === 'stop';
  if (type === 'start') void run();
});
process.on('disconnect', () => process.exit(0));

for (const _ of images) await verify();
process.send({
  type: 'ready',
  simd: await tfjs.env().getAsync('WASM_HAS_SIMD_SUPPORT'),
  threads: (await tfjs.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT')) ? wasm.getThreadsCount() : 1,
});

async function run() {
  while (!isStopped) {
    const at = now();
    await verify();
    process.send({ type: 'answer', answer: { at, ms: now() - at } });
  }
  process.send({ type: 'stopped' });
}

/** Each photo with the next, as the requests to Likeness. */
async function verify() {
  const first = next++ % images.length;
  const probe = await describe(images[first]);
  const reference = await describe(images[(first + 1) % images.length]);
  return faceapi.euclideanDistance(probe, reference);
}

async function describe(image) {
  const { data, info } = await sharp(image)
    .autoOrient()
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pixels = tfjs.tensor3d(data, [info.height, info.width, 3], 'int32');
  const face = await faceapi.detectSingleFace(pixels, options).withFaceLandmarks().withFaceDescriptor();
  pixels.dispose();
  if (face == null) throw new Error('face-api found no face.');
  return face.descriptor;
}
