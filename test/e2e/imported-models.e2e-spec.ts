import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { importModels, makeReferences, type Reference } from '../support/keras/reference';
import { rootDir, workerFile } from '../support/paths';
import { tempFolders } from '../support/temp-folder';

/** The small ones; what a card says of pixels does not depend on the size of a network. */
const EMBEDDERS = ['deepid', 'openface', 'ghostfacenet'];

/** Largest difference of a number of the unit vector. */
const TOLERANCE = 1e-4;

/** The input of a reference, BGR and 0 to 1, as a picture. */
async function pictureOf({ folder, input: [, height, width] }: Reference): Promise<Buffer> {
  const values = readFloats(join(folder, 'input.f32'));
  const pixels = new Uint8Array(values.length);
  for (let i = 0; i < pixels.length; i++) {
    const channel = i % 3;
    pixels[i] = Math.round(values[i - channel + (2 - channel)] * 255);
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function readFloats(file: string): number[] {
  const bytes = readFileSync(file);
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
}

describe('imported models in the engine', () => {
  const root = tempFolders()();
  const models = join(root, 'models');
  const references: Record<string, Reference> = {};
  let engine: WorkerFaceModel;

  beforeAll(async () => {
    for (const network of [...EMBEDDERS, 'emotion']) {
      const folder = join(root, network);
      mkdirSync(folder);
      Object.assign(references, await makeReferences({ [network]: folder }));
    }
    const outcomes = await importModels(
      Object.entries(references).map(([architecture, reference]) => ({
        architecture,
        file: join(reference.folder, 'weights.h5'),
        folder: models,
        reference,
      })),
    );
    expect(outcomes.map(({ error }) => error)).toEqual(outcomes.map(() => undefined));
    engine = await WorkerFaceModel.load(
      resolveFaceOptions({
        workerFile,
        workerCount: 1,
        embedders: EMBEDDERS,
        attributeModels: ['emotion'],
        modelDirs: [models, join(rootDir, 'models')],
      }),
    );
  });
  afterAll(() => engine?.close());

  it.each(EMBEDDERS)('%s: a picture of the input gives the embedding of TensorFlow.js', async (embedder) => {
    const reference = references[embedder];
    const { faces } = await engine.represent(await pictureOf(reference), { embedder, wholeImage: 'always' });
    const expected = readFloats(join(reference.folder, reference.outputs[0].file));
    const norm = Math.hypot(...expected);
    expect(faces).toHaveLength(1);
    expect(faces[0].embeddingNorm).toBeCloseTo(norm, 3);
    const differences = expected.map((value, i) => Math.abs(value / norm - faces[0].embedding[i]));
    expect(Math.max(...differences)).toBeLessThanOrEqual(TOLERANCE);
  });

  it('takes over the thresholds of DeepFace', () => {
    expect(engine.embedder('deepid').maxDistances).toEqual({
      cosine: 0.015,
      euclidean: 45,
      euclidean_l2: 0.17,
      angular: 0.04,
    });
  });

  it('estimates expressions with a network that takes gray pixels', async () => {
    const picture = await pictureOf(references.ghostfacenet);
    const { faces } = await engine.analyze(picture, { wholeImage: 'always' });
    expect(faces).toHaveLength(1);
    const { expression, expressionScores = {} } = faces[0];
    const scores = Object.entries<number>(expressionScores);
    expect(scores.map(([name]) => name)).toEqual([
      'angry',
      'disgusted',
      'fearful',
      'happy',
      'sad',
      'surprised',
      'neutral',
    ]);
    expect(scores.reduce((sum, [, score]) => sum + score, 0)).toBeCloseTo(1, 5);
    expect(scores.find(([, score]) => score === Math.max(...scores.map((entry) => entry[1])))?.[0]).toBe(
      expression,
    );
  });
});
