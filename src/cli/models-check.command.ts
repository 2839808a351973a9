import type { Command } from 'commander';
import { FaceError } from '../errors';
import { resolveFaceOptions } from '../face/face.options';
import { readStore } from '../face/model-files';
import { modelsToLoad } from '../face/model-selection';
import { ProcessWorker } from '../inference/inference-worker';
import type { ModelCard } from '../model-store/model-card';
import { sha256OfFile } from '../model-store/model-file';
import { requireFile, type StoredModel } from '../model-store/model-store';
import { type CommandSettings, readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printTable, withNotices } from './print';
import { errorJson, errorLine, EXIT_ERROR } from './report-error';

/** What is known of one model after the check. */
interface CheckResult {
  name: string;
  path: string | null;
  /** `not pinned`: the card has no sha256. `null` where there is no file. */
  checksum: 'ok' | 'wrong' | 'not pinned' | null;
  /** Milliseconds of loading and warming in a worker; `null` where it was not or could not be opened. */
  loadMs: number | null;
  problem: FaceError | null;
}

export function addModelsCheckCommand(models: Command): void {
  models
    .command('check')
    .description(
      'Check the sha256 of every model file, and open in a worker what the settings would load. Exit code 2 where anything is wrong.',
    )
    .addOption(jsonOption())
    .action(check);
}

async function check({ json }: JsonOption): Promise<void> {
  const settings = readSettings();
  const store = await readStore(settings.modelDirs);
  const toLoad = new Set(modelsToLoad(settings, store));
  const results: CheckResult[] = [];
  await withNotices('checking models', async (tell) => {
    for (const name of new Set([...toLoad, ...store.keys()])) {
      const isLoaded = toLoad.has(name);
      if (!isLoaded && store.get(name)?.path == null) continue;
      results.push(await checkModel(name, store, isLoaded, settings));
      tell(`checked ${name}`);
    }
  });
  const problems = results.flatMap(({ problem }) => problem ?? []);
  if (json) {
    const models = results.map((result) => ({
      ...result,
      problem: result.problem && errorJson(result.problem),
    }));
    printJson({ ok: problems.length === 0, models });
  } else {
    printTable(['name', 'sha256', 'opens', 'file'], results.map(toRow));
    for (const problem of problems) process.stderr.write(`${errorLine(problem)}\n`);
  }
  if (problems.length > 0) process.exitCode = EXIT_ERROR;
}

/** Goes on where something is wrong: one run is to name all that is. */
async function checkModel(
  name: string,
  store: ReadonlyMap<string, StoredModel>,
  isLoaded: boolean,
  settings: CommandSettings,
): Promise<CheckResult> {
  const model = store.get(name);
  const path = model?.path ?? null;
  const result: CheckResult = { name, path, checksum: null, loadMs: null, problem: null };
  // A boot makes the file; that it is not there yet is no fault.
  if (model?.card.compiled && path == null) return result;
  try {
    if (model != null && path != null) {
      result.checksum = 'wrong';
      result.checksum = await compareChecksum(model.card, path);
    }
    if (isLoaded) result.loadMs = await openInWorker(requireFile(store, name), settings);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    result.problem = error;
  }
  return result;
}

async function compareChecksum(card: ModelCard, path: string): Promise<'ok' | 'not pinned'> {
  if (card.sha256 == null) return 'not pinned';
  const received = await sha256OfFile(path);
  if (received === card.sha256) return 'ok';
  throw new FaceError(
    'MODEL_CHECKSUM_MISMATCH',
    `Expected sha256 ${card.sha256} for the file ${path} of model ${card.name} but it is ${received}.`,
    { file: path, model: card.name, expected: card.sha256, received },
  );
}

/** A worker of its own for each model, so that one that cannot be opened does not hide the next. */
async function openInWorker(
  model: { card: ModelCard; path: string },
  settings: CommandSettings,
): Promise<number> {
  const { workerFile } = resolveFaceOptions(settings);
  const { intraOpThreads, maxImagePixels, bootTimeoutMs } = settings;
  const worker = new ProcessWorker(
    workerFile,
    { models: [{ ...model, preparedPath: null }], intraOpThreads, maxImagePixels },
    bootTimeoutMs,
  );
  try {
    const [{ loadMs }] = await worker.ready;
    return Math.round(loadMs);
  } finally {
    await worker.stop();
  }
}

function toRow({ name, path, checksum, loadMs, problem }: CheckResult): string[] {
  const notOpened = problem == null || checksum === 'wrong' ? '-' : 'no';
  return [
    name,
    checksum ?? '-',
    loadMs == null ? notOpened : `in ${loadMs} ms`,
    path ?? (problem == null ? 'not compiled yet' : 'absent'),
  ];
}
