import type { InferenceWorker } from './inference-worker';
import type { LoadedModel } from './worker-protocol';
import type { WorkerSet } from './worker-set';

/** Delay before a worker is started again, doubled for every recent death. */
const FIRST_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 30_000;
/** Shortest time that a replacement gets to load its models. */
const MIN_RESTART_LIMIT_MS = 5000;
/** Deaths in a row, without an answered job or a stable worker between them, that make a crash loop. */
const CRASH_LOOP_DEATHS = 5;
/** A worker that is up for so long after its warm-up is stable. */
const STABLE_MS = 1000;

export interface WorkerEvents {
  /** Called for every worker that becomes ready. */
  onWorkerReady?: (models: readonly LoadedModel[]) => void;
  /** Called when a worker ended that was not stopped, with the delay before the next one starts. */
  onWorkerEnded?: (delayMs: number) => void;
}

/** Starts workers, and replaces those that end: after a delay that grows while they keep ending. */
export class WorkerSupervisor {
  /** Workers that ended and were replaced. */
  restarts = 0;
  private recentDeaths = 0;
  private readonly loads = new Map<string, number>();
  /** Slowest start so far. */
  private bootMs?: number;
  private closed = false;

  /** @param release - gives work to a worker that is ready. */
  constructor(
    private readonly events: WorkerEvents,
    private readonly release: (worker: InferenceWorker, set: WorkerSet) => void,
  ) {}

  /**
   * Starts one worker of a set, and waits until it is ready.
   *
   * @throws {FaceError} the reason where it cannot load its models.
   */
  async start(set: WorkerSet): Promise<void> {
    const startedAt = performance.now();
    const worker = set.plan.createWorker();
    set.workers.set(worker, null);
    void worker.ended.then(() => set.forget(worker));
    // A replacement that takes many times as long as the first workers is hung, and is stopped.
    const limitMs = this.bootMs == null ? undefined : Math.max(MIN_RESTART_LIMIT_MS, 5 * this.bootMs);
    const hung = limitMs == null ? undefined : setTimeout(() => void worker.stop(), limitMs);
    const loaded = await worker.ready.finally(() => clearTimeout(hung));
    this.bootMs = Math.max(this.bootMs ?? 0, performance.now() - startedAt);
    this.events.onWorkerReady?.(loaded);
    for (const { name } of loaded) this.loads.set(name, this.loadCount(name) + 1);
    // The worker may have ended since it became ready.
    if (set.workers.has(worker)) set.workers.set(worker, loaded);
    void worker.ended.then(() => this.replace(set));
    setTimeout(() => set.workers.has(worker) && this.forgetDeaths(), STABLE_MS).unref();
    this.release(worker, set);
  }

  /** Loads of a model since the boot, those of replaced workers included. */
  loadCount(model: string): number {
    return this.loads.get(model) ?? 0;
  }

  /** Workers that ended in a row, where they are so many that it is a crash loop; else `null`. */
  get crashLoop(): number | null {
    return this.recentDeaths >= CRASH_LOOP_DEATHS ? this.recentDeaths : null;
  }

  /** A worker answered a job, or proved stable: earlier deaths no longer count. */
  forgetDeaths(): void {
    this.recentDeaths = 0;
  }

  /** Replaces no worker from now on. */
  close(): void {
    this.closed = true;
  }

  private replace(set: WorkerSet): void {
    if (this.closed || set.isRetiring) return;
    this.restarts++;
    const delayMs = Math.min(MAX_RESTART_DELAY_MS, FIRST_RESTART_DELAY_MS * 2 ** this.recentDeaths++);
    this.events.onWorkerEnded?.(delayMs);
    setTimeout(() => {
      if (!this.closed && !set.isRetiring) this.start(set).catch(() => this.replace(set));
    }, delayMs).unref();
  }
}
