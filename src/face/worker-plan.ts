import { ProcessWorker } from '../inference/inference-worker';
import type { WorkerPlan } from '../inference/worker-set';
import { imageLimitsOf, type ResolvedFaceOptions } from './face.options';
import type { ResourcePlan } from './memory-plan';
import type { LoadableModel } from './model-files';

/** A set of worker processes that hold these models, for the pool to start. */
export function workerPlan(
  models: ReadonlyMap<string, LoadableModel>,
  options: ResolvedFaceOptions,
  { workerCount, intraOpThreads, maxDecodeBytes }: ResourcePlan,
): WorkerPlan {
  const { workerFile, bootTimeoutMs, onProgress } = options;
  const imageLimits = imageLimitsOf({ ...options, maxDecodeBytes });
  const files = [...models.values()].map(({ card, path, preparedPath }) => ({ card, path, preparedPath }));
  const total = files.length * workerCount;
  let done = 0;
  return {
    models: new Set([...models.values()].map(({ id }) => id)),
    createWorker: () =>
      new ProcessWorker(
        workerFile,
        { models: files, intraOpThreads, imageLimits },
        bootTimeoutMs,
        (model) => {
          // A replacement loads the same models again, which is not progress.
          if (done < total) onProgress?.({ stage: 'load', model, done: ++done, total });
        },
      ),
  };
}
