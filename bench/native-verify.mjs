import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir, samples } from './service.mjs';

/*
 * Child process of the verify scenario: the native costs of one verification (two images) on one thread, nothing else:
 * decode and resize in sharp, runs in onnxruntime. Prints milliseconds per image as JSON.
 */

const require = createRequire(import.meta.url);
const dist = (file) => require(join(rootDir, 'dist', file));
const { prepareModels } = dist('face/worker-face-model.js');
const { resolveFaceOptions } = dist('face/face.options.js');
const { requireFile } = dist('model-store/model-store.js');
const { FacePipeline } = dist('pipeline/face-pipeline.js');
const { openSession } = dist('pipeline/tensor-session.js');
const { decodeImage, resizeImage } = dist('pipeline/rgb-image.js');

const rounds = Number(process.argv[2] ?? 4);
const options = resolveFaceOptions({ attributeModels: [] });
const { store, names } = await prepareModels(options);
let runMs = 0;
const models = new Map();
for (const name of names) {
  const { card, path } = requireFile(store, name);
  const session = await openSession(readFileSync(path), card, 1);
  const timed = {
    async run(data, dims) {
      const start = performance.now();
      const result = await session.run(data, dims);
      runMs += performance.now() - start;
      return result;
    },
  };
  models.set(name, { card, session: timed });
}
const pipeline = new FacePipeline(models, options.maxImagePixels);
await pipeline.warmUp();

const detector = models.get(options.detectors[0]).card;
const canvas = detector.input.width;
let total = 0;
const images = samples.map((path) => readFileSync(path));
for (let round = -1; round < rounds; round++) {
  for (const image of images) {
    runMs = 0;
    const { timings } = await pipeline.run({
      task: 'represent',
      image,
      detector: options.detectors[0],
      embedder: options.embedders[0],
      selection: 'best',
      maxFaces: 1,
      minFaceSize: 0,
    });
    const decoded = await decodeImage(image, options.maxImagePixels);
    const scale = Math.min(1, canvas / Math.max(decoded.width, decoded.height));
    const start = performance.now();
    await resizeImage(decoded, Math.round(decoded.width * scale), Math.round(decoded.height * scale));
    const resizeMs = performance.now() - start;
    // The first round warms up.
    if (round >= 0) total += timings.decodeMs + resizeMs + runMs;
  }
}
console.log(JSON.stringify({ nativeMsPerImage: total / (rounds * images.length) }));
