import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AppConfig } from '../../server/config/app.config';
import { FaceError } from '../../errors';
import { assertFits, cacheBytesOf, type ModelBytes, planResources } from '../../face/memory-plan';
import { readStore } from '../../face/model-files';
import { modelsToLoad } from '../../face/model-selection';
import { machineLimits } from '../../inference/machine-limits';
import { checkModelFile } from '../../models/model-file';
import { requireFile, type StoredModel } from '../../models/model-store';
import { type Check, failure, ok, warning } from './check';

/** Checks files, checksums, calibration and memory needs of the configured models. */
export async function checkModels({ face }: AppConfig): Promise<Check[]> {
  let store: Map<string, StoredModel>;
  let names: string[];
  try {
    store = await readStore(face.modelDirs.map((dir) => resolve(dir)));
    names = modelsToLoad(face, store);
  } catch (error) {
    return [toFailure('models', error, 'Correct the card or the setting.')];
  }
  const checks: Check[] = [];
  const weights = new Map<string, ModelBytes>();
  for (const name of names) {
    try {
      const { card, path } = requireFile(store, name);
      await checkModelFile(path, card);
      weights.set(path, { bytes: (await stat(path)).size, isShared: face.prepareModels });
      checks.push(checkCalibration(name, card));
    } catch (error) {
      checks.push(toFailure(`model ${name}`, error, adviceFor(name, store)));
    }
  }
  // The memory estimate needs all files.
  return checks.some(({ state }) => state === 'failure') ? checks : [...checks, checkMemory(face, weights)];
}

function checkCalibration(name: string, { task, embedding }: StoredModel['card']): Check {
  const check = `model ${name}`;
  if (task !== 'embed') return ok(check, 'The file matches its card.');
  if (embedding?.calibration != null) {
    return ok(check, 'The file matches its card, which has a calibration.');
  }
  const advice = 'Run "likeness calibrate" with photos like yours, or set thresholds that you have measured.';
  return warning(check, 'The card has no calibration: thresholds cannot be set by error rate.', advice);
}

function adviceFor(name: string, store: ReadonlyMap<string, StoredModel>): string {
  const model = store.get(name);
  if (model == null) return 'Correct the name in the settings; "likeness models list" shows the names.';
  const verb = model.card.compiled ? 'compile' : 'pull';
  return model.path == null
    ? `Run "likeness models ${verb} ${name}".`
    : `Remove the file and run "likeness models ${verb} ${name}".`;
}

function checkMemory(face: AppConfig['face'], weights: ReadonlyMap<string, ModelBytes>): Check {
  const limits = machineLimits();
  const plan = planResources(face, weights, limits);
  try {
    const { workerCount, maxDecodeBytes } = plan;
    assertFits([{ workerCount, maxDecodeBytes, models: weights }], cacheBytesOf(face), plan.budgetBytes);
  } catch (error) {
    return toFailure(
      'memory',
      error,
      'Add memory, or configure fewer workers (FACE_WORKER_COUNT) or models.',
    );
  }
  const text = `${plan.text}.`;
  if (plan.budgetBytes <= limits.memoryBytes) return ok('memory', text);
  const advice = 'Lower FACE_MEMORY_BUDGET_BYTES, or raise the limit of the container.';
  return warning('memory', `${text} The budget exceeds the available memory.`, advice);
}

/** Messages of FaceError contain no paths. Any other error is a bug and is thrown on. */
function toFailure(name: string, error: unknown, advice: string): Check {
  if (!(error instanceof FaceError)) throw error;
  return failure(name, error.message, advice);
}
