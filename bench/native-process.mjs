import { readFileSync } from 'node:fs';
import { dist, openAsWorker, openPipeline, verifyModels } from './models.mjs';
import { samples } from './service.mjs';

/*
 * Child process of native.mjs: the native costs of verifications (two images each) on one thread, nothing else: decode and
 * resize in sharp, runs in onnxruntime. The pipeline of the worker runs as it is, with a clock around those three.
 */

let nativeMs = 0;
const timed =
  (work) =>
  async (...inputs) => {
    const start = performance.now();
    const result = await work(...inputs);
    nativeMs += performance.now() - start;
    return result;
  };

const images = samples.map((path) => readFileSync(path));
const sharpSteps = dist('pipeline/image/rgb-image.js');
sharpSteps.decodeImage = timed(sharpSteps.decodeImage);
sharpSteps.resizeImage = timed(sharpSteps.resizeImage);
const pipeline = await openPipeline(await verifyModels(), openAsWorker, ({ run }) => ({ run: timed(run) }));

let isResting = true;

process.on('message', ({ type, seconds }) => {
  isResting = type === 'rest';
  if (type === 'measure') void measure(seconds);
});
process.on('disconnect', () => process.exit(0));

await round();
process.send({ type: 'ready' });

/** Every photo once, so that each weighs the same. */
async function round() {
  for (const image of images) await pipeline.represent(image);
}

/** Reports after `seconds`, and goes on until all others have reported: none may have the machine for itself. */
async function measure(seconds) {
  const end = performance.now() + seconds * 1000;
  nativeMs = 0;
  let rounds = 0;
  for (; performance.now() < end; rounds++) await round();
  process.send({ type: 'measured', nativeMsPerVerify: (nativeMs / (rounds * images.length)) * 2 });
  while (!isResting) await round();
  process.send({ type: 'resting' });
}
