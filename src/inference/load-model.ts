import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FaceError } from '../errors';
import { readModelFile } from '../models/model-file';
import type { ModelFile } from '../models/model-store';
import { PREPARED_WEIGHTS } from '../models/prepared-model';
import { warmUp } from '../pipeline/face-pipeline';
import type { PipelineModel } from '../pipeline/pipeline-model';
import { openSession } from '../pipeline/tensor-session';
import { toReason } from './plain-error';
import { processMemory } from './process-memory';
import type { LoadedModel } from './worker-protocol';

/**
 * Loads and warms one model: the prepared one, mapped, where there is one and it works; else its file, checked.
 *
 * @throws {FaceError} MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH, MODEL_INVALID, MODEL_SHAPE_MISMATCH of the file.
 */
export async function loadModel(
  { card, path, preparedPath }: ModelFile,
  intraOpThreads: number,
): Promise<{ model: PipelineModel; loaded: LoadedModel }> {
  const startedAt = performance.now();
  const before = await processMemory('self');
  const residentBefore = process.memoryUsage.rss();
  const open = async (source: Uint8Array | string): Promise<PipelineModel> => {
    const model = { card, session: await openSession(source, card, intraOpThreads) };
    try {
      await warmUp(model);
      return model;
    } catch (error) {
      await model.session.release();
      throw new FaceError(
        'MODEL_INVALID',
        `Model ${card.name} fails at its first run.`,
        {},
        { cause: error },
      );
    }
  };
  let model: PipelineModel | undefined;
  let sharedBytes = 0;
  let fallbackReason: string | undefined;
  if (preparedPath != null) {
    try {
      model = await open(preparedPath);
      // A graph without large weights has no such file.
      sharedBytes = await stat(join(dirname(preparedPath), PREPARED_WEIGHTS)).then(
        ({ size }) => size,
        () => 0,
      );
    } catch (error) {
      fallbackReason = toReason(error, dirname(preparedPath));
    }
  }
  const isPrepared = model != null;
  if (model == null) {
    model = await open(await readModelFile(path, card));
    // The bytes of the file are no longer needed, and as large as the model.
    globalThis.gc?.();
  }
  const loadMs = performance.now() - startedAt;
  const after = await processMemory('self');
  const growth =
    before != null && after != null
      ? after.privateBytes - before.privateBytes
      : // Resident memory, the only figure outside of Linux, includes mapped weights.
        process.memoryUsage.rss() - residentBefore - sharedBytes;
  return {
    model,
    loaded: {
      name: card.name,
      loadMs,
      memoryBytes: Math.max(0, growth),
      isPrepared,
      sharedBytes,
      ...(fallbackReason == null ? {} : { fallbackReason }),
    },
  };
}
