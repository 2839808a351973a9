import { FaceError } from '../errors';
import type { MachineLimits } from '../inference/machine-limits';
import { DEFAULT_DECODE_BYTES, MIN_DECODE_BYTES, type ResolvedFaceOptions } from './face.options';

const MIB = 2 ** 20;

/** Bytes that the main process takes: measured at 100 to 130 MiB under load with the defaults (docs/benchmarks.md). */
const MAIN_BYTES = 160 * MIB;
/** Bytes that a worker takes beside decoding: Node, small pictures, activations; measured (docs/benchmarks.md, weights and soak). */
const WORKER_BYTES = 150 * MIB;
/**
 * Copies of its weights that a session holds where they are not mapped: what it read, and what it packed for its kernels
 * (measured: 1,206 MB for a file of 580).
 */
const COPIES_PER_SESSION = 2;

/** Memory that a byte of the cache's bound costs: reckoned bytes, and what the collector leaves between them (measured: 1.4 to 2.1). */
const MEMORY_PER_CACHE_BYTE = 2;

/** How much the weights of one model take. */
export interface ModelBytes {
  /** Bytes of the file. */
  bytes: number;
  /** True where all workers map the same file. */
  isShared: boolean;
}

/** Workers of one set, and what each holds. */
export interface WorkersToEstimate {
  workerCount: number;
  /** What decoding one image may take: every worker may have the worst one at once. */
  maxDecodeBytes: number;
  /** By the path of the file, so that one that several sets map counts once. */
  models: ReadonlyMap<string, ModelBytes>;
}

/**
 * Bytes that the main process and these sets of workers take together. An estimate, on the safe side.
 *
 * @param cacheBytes - bound of the cache of answers; 0 where there is none.
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

/** Bound of the cache that these options ask for; 0 where they ask for none. */
export function cacheBytesOf({
  cache,
  cacheBytes,
}: Pick<ResolvedFaceOptions, 'cache' | 'cacheBytes'>): number {
  return cache === 'off' ? 0 : cacheBytes;
}

/** What a machine is used for. */
export interface ResourcePlan {
  workerCount: number;
  intraOpThreads: number;
  /** What decoding one image may take. */
  maxDecodeBytes: number;
  budgetBytes: number;
  /** One line for the log. */
  text: string;
}

/**
 * Settles what is left to the machine: one worker per core with one thread each reaches the full throughput; where the
 * memory allows fewer, those get the cores as threads. Where it does not allow one with the largest images, images have to
 * be smaller.
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
