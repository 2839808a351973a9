import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { FaceError } from '../errors';
import { imageLimitsOf, resolveFaceOptions } from '../face/face.options';
import { readStore } from '../face/model-files';
import { modelsToLoad } from '../face/model-selection';
import { ProcessWorker } from '../inference/inference-worker';
import type { CardLicense, ModelCard } from '../models/model-card';
import { checksumMismatch, sha256OfFile } from '../models/model-file';
import { requireFile, type StoredModel } from '../models/model-store';
import { type CommandSettings, readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printTable, withNotices } from './print';
import { describeBytes, Progress } from './progress';
import { errorJson, errorLine, EXIT_ERROR } from './report-error';

const FILES_WRONG = 1;

/** Result for one model. */
interface CheckResult {
  name: string;
  path: string | null;
  /** `wrong`: sha256 or size differs; `not pinned`: the card has no sha256; `null`: the file is missing. */
  checksum: 'ok' | 'wrong' | 'not pinned' | null;
  /** `null` for a name without a card. */
  license: CardLicense | null;
  /** Milliseconds to load and warm the model in a worker; `null`: not opened. */
  loadMs: number | null;
  problem: FaceError | null;
}

export function addModelsCheckCommand(models: Command): void {
  models
    .command('check')
    .description(
      'Check the size and sha256 of every model file, and open the configured models in a worker. The exit code is 1 if a file is wrong, 2 for any other error.',
    )
    .addOption(jsonOption())
    .action(check);
}

async function check({ json }: JsonOption): Promise<void> {
  const settings = readSettings();
  const store = await readStore(settings.modelDirs);
  const toLoad = new Set(modelsToLoad(settings, store));
  const names = [...new Set([...toLoad, ...store.keys()])].filter(
    (name) => toLoad.has(name) || store.get(name)?.path != null,
  );
  const results = await checkFiles(names, store);
  await withNotices('opening models', async (tell) => {
    for (const result of results.filter(({ name }) => toLoad.has(name))) {
      await openModel(result, store, settings);
      if (result.loadMs != null) tell(`opened ${result.name}`);
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
    printTable(['name', 'sha256', 'opens', 'license', 'commercial use', 'file'], results.map(toRow));
    for (const problem of problems) process.stderr.write(`${errorLine(problem)}\n`);
  }
  if (problems.length === 0) return;
  const areFilesWrong = problems.every(({ code }) => code === 'MODEL_CHECKSUM_MISMATCH');
  process.exitCode = areFilesWrong ? FILES_WRONG : EXIT_ERROR;
}

/** Continues after a failure, so that one run reports all of them. */
async function checkFiles(
  names: readonly string[],
  store: ReadonlyMap<string, StoredModel>,
): Promise<CheckResult[]> {
  const files = await Promise.all(
    names.map(async (name) => {
      const { card = null, path = null } = store.get(name) ?? {};
      return { name, card, path, bytes: path == null ? 0 : (await stat(path)).size };
    }),
  );
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const progress = new Progress('checked', total, process.stderr, describeBytes());
  const results: CheckResult[] = [];
  for (const { name, card, path, bytes } of files) {
    const result: CheckResult = {
      name,
      path,
      checksum: null,
      license: card?.license ?? null,
      loadMs: null,
      problem: null,
    };
    if (card != null && path != null) {
      result.problem = await compareFile(card, path, bytes, (count) => progress.add(count));
      const pinned = card.sha256 == null ? 'not pinned' : 'ok';
      result.checksum = result.problem == null ? pinned : 'wrong';
    }
    results.push(result);
  }
  progress.end();
  return results;
}

/** The error of a file, or `null`. */
async function compareFile(
  card: ModelCard,
  path: string,
  bytes: number,
  onBytes: (count: number) => void,
): Promise<FaceError | null> {
  if (card.bytes != null && bytes !== card.bytes) {
    onBytes(bytes);
    return checksumMismatch(card, path, { bytes });
  }
  if (card.sha256 == null) {
    onBytes(bytes);
    return null;
  }
  const received = await sha256OfFile(path, onBytes);
  return received === card.sha256 ? null : checksumMismatch(card, path, { sha256: received });
}

async function openModel(
  result: CheckResult,
  store: ReadonlyMap<string, StoredModel>,
  settings: CommandSettings,
): Promise<void> {
  const { name, problem } = result;
  if (problem != null) return;
  try {
    result.loadMs = await openInWorker(requireFile(store, name), settings);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    result.problem = error;
  }
}

/** Opens each model in its own worker, so that a failure does not hide the next one. */
async function openInWorker(
  model: { card: ModelCard; path: string },
  settings: CommandSettings,
): Promise<number> {
  const options = resolveFaceOptions(settings);
  const { intraOpThreads, bootTimeoutMs } = settings;
  const worker = new ProcessWorker(
    options.workerFile,
    { models: [{ ...model, preparedPath: null }], intraOpThreads, imageLimits: imageLimitsOf(options) },
    bootTimeoutMs,
  );
  try {
    const [{ loadMs }] = await worker.ready;
    return Math.round(loadMs);
  } finally {
    await worker.stop();
  }
}

function toRow({ name, path, checksum, license, loadMs, problem }: CheckResult): string[] {
  const notOpened = problem == null || checksum === 'wrong' ? '-' : 'no';
  const commercialUse = license?.commercialUse ? 'yes' : 'no';
  return [
    name,
    checksum ?? '-',
    loadMs == null ? notOpened : `in ${loadMs} ms`,
    license?.name ?? '-',
    license == null ? '-' : commercialUse,
    path ?? 'absent',
  ];
}
