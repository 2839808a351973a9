/**
 * Writes src/pipeline/align/shape-model.ts: how the 68 points of faces differ from the mean face, as the landmark model finds them.
 *
 * Run by hand after `npm run build`, only when the landmark model changes: node test/accuracy/fit-shape-model.mjs
 * The photos are those of the people of cfp250 with odd numbers, so that lfw10 and the even ones judge the result.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const from = (path) => require(join(root, 'dist', path));
const { readModelStore, requireFile } = from('models/model-store.js');
const { openSession } = from('pipeline/tensor-session.js');
const { DEFAULT_FACE_OPTIONS, imageLimitsOf } = from('face/face.options.js');
const { decodeImage } = from('pipeline/image/rgb-image.js');
const { Detector } = from('pipeline/detect/detect-faces.js');
const { findLandmarks68 } = from('pipeline/align/landmarks-68.js');
const { applySimilarity, estimateSimilarity } = from('pipeline/align/affine.js');
const { MEAN_SHAPE } = from('pipeline/align/align-faces.js');

const MODES = 6;
/** Shapes that are farther from the mean (root mean square, in its frame) are mistakes of the landmark model. */
const MAX_RESIDUAL = 0.15;
const DIGITS = 4;

const store = await readModelStore([join(root, 'models/cards')], [join(root, 'models')]);
const load = async (name) => {
  const { card, path } = requireFile(store, name);
  return { card, session: await openSession(readFileSync(path), card, 2) };
};
const [detector, landmarks] = [await load('rfb-320'), await load('face-landmark-68')];
const finder = new Detector(detector.session, detector.card);

const people = join(root, '../shared/data/cfp250');
const photos = readdirSync(people)
  .filter((person) => Number(person) % 2 === 1)
  .flatMap((person) =>
    ['frontal', 'profile'].flatMap((view) =>
      readdirSync(join(people, person, view)).map((file) => join(people, person, view, file)),
    ),
  );

const shapes = [];
for (const [done, photo] of photos.entries()) {
  if (done % 100 === 0) process.stderr.write(`${done} of ${photos.length} photos\n`);
  const image = await decodeImage(readFileSync(photo), imageLimitsOf(DEFAULT_FACE_OPTIONS));
  let faces = [];
  for (const pass of finder.passes) if (faces.length === 0) faces = await finder.detect(image, pass);
  const [face] = faces.sort((a, b) => b.box.height - a.box.height);
  if (face == null) continue;
  const [points] = await findLandmarks68(image, [face.box], landmarks.session, landmarks.card.input);
  const inner = points.slice(17);
  const toMean = estimateSimilarity(inner, MEAN_SHAPE);
  const shape = inner.flatMap((point) => Object.values(applySimilarity(toMean, point)));
  const mean = MEAN_SHAPE.flatMap(({ x, y }) => [x, y]);
  if (rootMeanSquare(shape.map((value, i) => value - mean[i])) < MAX_RESIDUAL) shapes.push(shape);
}

const length = MEAN_SHAPE.length * 2;
const mean = Array.from(
  { length },
  (_, i) => shapes.reduce((sum, shape) => sum + shape[i], 0) / shapes.length,
);
const rest = shapes.map((shape) => shape.map((value, i) => value - mean[i]));
const modes = [];
for (let mode = 0; mode < MODES; mode++) {
  // Power iteration for the direction in which what is left varies most.
  let direction = Array.from({ length }, (_, i) => Math.sin(i + mode + 1));
  for (let step = 0; step < 500; step++) {
    const next = new Array(length).fill(0);
    for (const shape of rest) {
      const along = dot(shape, direction);
      shape.forEach((value, i) => (next[i] += along * value));
    }
    const norm = Math.sqrt(dot(next, next));
    direction = next.map((value) => value / norm);
  }
  const amounts = rest.map((shape) => dot(shape, direction));
  rest.forEach((shape, k) => direction.forEach((value, i) => (shape[i] -= amounts[k] * value)));
  modes.push({ deviation: Math.sqrt(dot(amounts, amounts) / amounts.length), direction });
}

const text = (values) => `[${values.map((value) => Number(value.toFixed(DIGITS))).join(', ')}]`;
writeFileSync(
  join(root, 'src/pipeline/align/shape-model.ts'),
  `/*
 * How the points 17 to 67 of a face lie, and how they vary: with the turn of the head, its nod, the mouth.
 *
 * Written by test/accuracy/fit-shape-model.mjs: principal components of ${shapes.length} shapes that face-landmark-68 found on photos of
 * cfp250 (people with odd numbers), brought onto the mean shape of dlib by similarity transforms. Units of its frame, x and y
 * of each point in turn.
 */

export const SHAPE_MEAN: readonly number[] = ${text(mean)};

/** Directions of length 1, and the standard deviation along each. */
export const SHAPE_MODES: readonly { deviation: number; direction: readonly number[] }[] = [
${modes.map(({ deviation, direction }) => `  { deviation: ${deviation.toFixed(DIGITS)}, direction: ${text(direction)} },`).join('\n')}
];
`,
);

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function rootMeanSquare(values) {
  return Math.sqrt(dot(values, values) / (values.length / 2));
}
