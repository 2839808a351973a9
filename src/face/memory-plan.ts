import { FaceError } from '../errors';
import type { MachineLimits } from '../inference/machine-limits';
import { DEFAULT_DECODE_BYTES, MIN_DECODE_BYTES, type ResolvedFaceOptions } from './face.options';

const MIB = 2 ** 20;

/** Memory of the main process in bytes: measured at 100 to 130 MiB under load with the defaults (docs/benchmarks.md). */
const MAIN_BYTES = 160 * MIB;
/** Memory of a worker without decoding, in bytes: Node, small pictures, activations; measured (docs/benchmarks.md, weights and soak). */
const WORKER_BYTES = 150 * MIB;
/**
 * Copies of its weights in a session that does not map them: the bytes of the file, and the packed ones for its kernels
 * (measured: 1,206 MB for a file of 580).
 */
const COPIES_PER_SESSION = 2;

/** Memory per byte of the cache limit: the counted bytes, and garbage between them (measured: 1.4 to 2.1). */
const MEMORY_PER_CACHE_BYTE = 2;

/** Memory of the weights of one model. */
export interface ModelBytes {
  /** Bytes of the file. */
  bytes: number;
  /** True where all workers map the same file. */
  isShared: boolean;
}

/** Workers of one set, and the models of each. */
export interface WorkersToEstimate {
  workerCount: number;
  /** Memory limit of decoding one image: every worker may decode the largest one at once. */
  maxDecodeBytes: number;
  /** By the path of the file, so that a file that several sets map counts once. */
  models: ReadonlyMap<string, ModelBytes>;
}

/**
 * Memory of the main process and these sets of workers together, in bytes: an estimate, on the safe side.
 *
 * @param cacheBytes - limit of the cache of answers; 0 without a cache.
 */
export function estimateMemory(sets: readonly WorkersToEstimate[], cacheBytes: number): number {
  const shared = new Map<string, number>();
  let total = MAIN_BYTES + MEMORY_PER_CACHE_BYTE * cacheBytes;
  for (const { workerCount, maxDecodeBytes, models } of sets) {
    total += workerCount * (WORKER_BYTES + maxDecodeBytes);
    for (const [path, { bytes, isShared }] of models) {
      if (isShared) shared.set(path, bytes);
      else total += workerCount * COPIES_PER_SESSION * bytes;
    }
  }
  return [...shared.values()].reduce((sum, bytes) => sum + bytes, total);
}

/** Limit of the cache by these options; 0 without a cache. */
export function cacheBytesOf({
  cache,
  cacheBytes,
}: Pick<ResolvedFaceOptions, 'cache' | 'cacheBytes'>): number {
  return cache === 'off' ? 0 : cacheBytes;
}

/** Workers, threads and memory on this machine. */
export interface ResourcePlan {
  workerCount: number;
  intraOpThreads: number;
  /** Memory limit of decoding one image. */
  maxDecodeBytes: number;
  budgetBytes: number;
  /** One line for the log. */
  text: string;
}

/**
 * Resolves the options that are `auto`: one worker per core with one thread each reaches the full throughput; where the memory
 * allows fewer workers, they get the cores as threads. Where it does not allow one worker with the largest images, the limit
 * for images is lower.
 *
 * @see docs/architecture.md, "Who runs what", for the measurements.
 */
export function planResources(
  options: Pick<
    ResolvedFaceOptions,
    'workerCount' | 'intraOpThreads' | 'memoryBudgetBytes' | 'maxDecodeBytes' | 'cache' | 'cacheBytes'
  >,
  models: WorkersToEstimate['models'],
  limits: MachineLimits,
): ResourcePlan {
  const budgetBytes = options.memoryBudgetBytes === 'auto' ? limits.memoryBytes : options.memoryBudgetBytes;
  const largest = options.maxDecodeBytes === 'auto' ? DEFAULT_DECODE_BYTES : options.maxDecodeBytes;
  const estimate = (workerCount: number, maxDecodeBytes: number) =>
    estimateMemory([{ workerCount, maxDecodeBytes, models }], cacheBytesOf(options));
  const fits = (workerCount: number) => estimate(workerCount, largest) <= budgetBytes;
  let workerCount = options.workerCount === 'auto' ? Math.min(256, limits.cores) : options.workerCount;
  if (options.workerCount === 'auto') while (workerCount > 1 && !fits(workerCount)) workerCount--;
  const left = Math.floor((budgetBytes - estimate(workerCount, 0)) / workerCount);
  const maxDecodeBytes =
    options.maxDecodeBytes === 'auto' ? Math.max(MIN_DECODE_BYTES, Math.min(largest, left)) : largest;
  const intraOpThreads =
    options.intraOpThreads === 'auto'
      ? Math.max(1, Math.min(256, Math.floor(limits.cores / workerCount)))
      : options.intraOpThreads;
  const text =
    `${plural(workerCount, 'worker')} with ${plural(intraOpThreads, 'thread')} each, on ` +
    `${plural(limits.cores, 'core')}; about ${mebibytes(estimate(workerCount, maxDecodeBytes))} of a memory budget of ` +
    `${mebibytes(budgetBytes)}, with up to ${mebibytes(maxDecodeBytes)} per worker to decode an image`;
  return { workerCount, intraOpThreads, maxDecodeBytes, budgetBytes, text };
}

/**
 * Refuses sets of workers that would not fit.
 *
 * @throws {FaceError} MEMORY_BUDGET_EXCEEDED.
 */
export function assertFits(
  sets: readonly WorkersToEstimate[],
  cacheBytes: number,
  budgetBytes: number,
): void {
  const neededBytes = estimateMemory(sets, cacheBytes);
  if (neededBytes <= budgetBytes) return;
  throw new FaceError(
    'MEMORY_BUDGET_EXCEEDED',
    `Models and workers would take ${mebibytes(neededBytes)} of the budget of ${mebibytes(budgetBytes)}.`,
    { neededBytes, budgetBytes },
  );
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
