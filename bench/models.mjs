import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir } from './service.mjs';

/* The models as the workers of the service load them, without the service. */

const require = createRequire(import.meta.url);
export const dist = (file) => require(join(rootDir, 'dist', file));

const { loadableModels, readSelection } = dist('face/model-files.js');
const { imageLimitsOf, resolveFaceOptions } = dist('face/face.options.js');
const { FacePipeline } = dist('pipeline/face-pipeline.js');
const { openSession } = dist('pipeline/tensor-session.js');

/** What a verification needs: detector, its landmark model where it has one, embedder. */
export async function verifyModels({ modelDirs, cacheDir, detectors, embedder } = {}) {
  const options = resolveFaceOptions({
    attributeModels: [],
    modelDirs,
    cacheDir,
    detectors,
    embedders: embedder == null ? undefined : [embedder],
  });
  const { store, names } = await readSelection(options, () => options);
  const files = [...(await loadableModels(names, store, options)).values()];
  return { files, options };
}

/** A session as a worker opens it: the prepared graph, mapped, where there is one. */
export function openAsWorker({ card, path, preparedPath }) {
  return openSession(preparedPath ?? readFileSync(path), card, 1);
}

/** A session from the bytes of the model file. */
export function openPlain({ card, path }) {
  return openSession(readFileSync(path), card, 1);
}

/**
 * Opens every model.
 *
 * @param open - {@link openAsWorker} or {@link openPlain}.
 * @returns `represent(image)` of the best face, and `release()`.
 */
export async function openPipeline({ files, options }, open, wrap = (session) => session) {
  const models = new Map();
  for (const file of files) models.set(file.card.name, { card: file.card, session: wrap(await open(file)) });
  const pipeline = new FacePipeline(models, imageLimitsOf(options));
  return {
    represent: (image) =>
      pipeline.run({
        task: 'represent',
        image,
        models: [],
        detector: options.detectors[0],
        embedder: options.embedders[0],
        selection: 'best',
        maxFaces: 1,
        minFaceSize: 0,
      }),
    async release() {
      for (const { session } of models.values()) await session.release();
    },
  };
}
