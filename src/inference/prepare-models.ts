import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createPreparedDir, findPrepared, removeAbandoned } from '../models/prepared-model';
import { forkWorker } from './fork-worker';
import type { PreparedModel, WorkerReply, WorkerRequest } from './worker-protocol';

type PrepareRequest = Extract<WorkerRequest, { type: 'prepare' }>;

export interface PrepareOptions {
  /** JavaScript file of the worker process. */
  workerFile: string;
  models: readonly PrepareRequest['model'][];
  /** Folder in which prepared models are looked for and written. */
  cacheDir: string;
  /** Most milliseconds for one model. */
  limitMs: number;
  /** Called for each model that was not there, whether it could be prepared or not. */
  onProgress?: (progress: { model: string; done: number; total: number }) => void;
}

/**
 * Finds the prepared models of this machine, and makes those that are missing, one after the other, in a child process
 * that ends afterwards: the runtime takes several times the size of a model for it.
 *
 * Never fails: where a model cannot be prepared (a folder that cannot be written, a full disk, a process that ends or
 * hangs, other outputs), the answer says why, and workers load its plain file.
 *
 * @returns one for each of `models`, in their order.
 */
export async function prepareInChild({
  workerFile,
  models,
  cacheDir,
  limitMs,
  onProgress,
}: PrepareOptions): Promise<PreparedModel[]> {
  const results = new Map<string, PreparedModel>();
  for (const { card } of models) {
    const preparedPath = await findPrepared(cacheDir, card);
    if (preparedPath != null) results.set(card.name, { name: card.name, preparedPath });
  }
  const missing = models.filter(({ card }) => !results.has(card.name));
  const obstacle = missing.length === 0 ? null : await obstacleTo(cacheDir);
  let child: ChildProcess | undefined;
  for (const [index, { card, path }] of missing.entries()) {
    try {
      if (obstacle != null) throw new Error(obstacle);
      if (child == null || hasEnded(child)) child = forkWorker(workerFile);
      results.set(card.name, await ask(child, { type: 'prepare', model: { card, path }, cacheDir }, limitMs));
    } catch (error) {
      results.set(card.name, { name: card.name, reason: (error as Error).message });
      // The next model gets a process that works.
      await end(child);
      child = undefined;
      await removeAbandoned(cacheDir);
    }
    onProgress?.({ model: card.name, done: index + 1, total: missing.length });
  }
  await end(child);
  return models.map(({ card }) => results.get(card.name) as PreparedModel);
}

/** Why nothing can be written there, the same for every model; `null` where it can. Names no folder. */
async function obstacleTo(cacheDir: string): Promise<string | null> {
  return createPreparedDir(cacheDir).then(
    () => null,
    ({ code = 'unknown error' }: NodeJS.ErrnoException) =>
      `the cache folder cannot be written (${code}). Set FACE_CACHE_DIR to a folder that can.`,
  );
}

/** @throws {Error} where no answer comes. */
async function ask(child: ChildProcess, request: PrepareRequest, limitMs: number): Promise<PreparedModel> {
  const over = new AbortController();
  const { signal } = over;
  const timer = setTimeout(() => over.abort(new Error(`It was not prepared within ${limitMs} ms.`)), limitMs);
  try {
    const answered = once(child, 'message', { signal });
    const ended = once(child, 'exit', { signal }).then(([code, killedBy]) => {
      throw new Error(`The process that prepared it ended with ${killedBy ?? `code ${code}`}.`);
    });
    // A process that has just ended cannot be sent to; `ended` says so.
    child.send(request, () => undefined);
    const [reply] = (await Promise.race([answered, ended])) as [WorkerReply];
    if (reply.type !== 'prepared') throw new Error('The process that prepared it gave another answer.');
    return reply.model;
  } catch (error) {
    throw signal.aborted ? (signal.reason as Error) : error;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

async function end(child?: ChildProcess): Promise<void> {
  // Without an id it was never started, and will not exit.
  if (child?.pid == null || hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode != null || signalCode != null;
}
