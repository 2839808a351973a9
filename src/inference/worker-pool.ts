import { FaceError } from '../errors';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import { DrainRate } from './drain-rate';
import { FairQueue } from './fair-queue';
import { type InferenceWorker, WorkerEndedError } from './inference-worker';
import { Quarantine } from './quarantine';
import { aborted, modelUnloaded, quarantined, queueFull, shuttingDown } from './refusals';
import { type RunSummary, RunStatistics } from './run-statistics';
import { Task } from './task';
import type { LoadedModel } from './worker-protocol';
import { type WorkerPlan, WorkerSet, type WorkerState } from './worker-set';
import { type WorkerEvents, WorkerSupervisor } from './worker-supervisor';

export interface WorkerPoolOptions extends WorkerEvents {
  /** Workers of every set. */
  workerCount: number;
  /** Jobs that may wait; one more is refused. */
  queueSize: number;
  /** Bytes of the images that may wait, together. */
  queueBytes: number;
  /** Most milliseconds from admission to answer. */
  requestTimeoutMs: number;
}

/** The pool as it is now. */
export interface PoolStatus {
  workers: WorkerState[];
  /** Workers that ended and were replaced. */
  restarts: number;
  queue: { length: number; bytes: number; maxLength: number; maxBytes: number; running: number };
}

/** Choices of the caller for one job. */
export interface RunOptions {
  /** Drops the job while it waits; once it runs, it finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to the deadline, where it is sooner than the pool's own. */
  timeoutMs?: number;
  /** Callers are served in turn. Jobs without a caller share a line that may fill the queue. */
  caller?: string;
}

/** Workers that one job may get: a job that ends two workers gets no third. */
const MAX_ATTEMPTS = 2;

/**
 * Workers behind one bounded queue; each runs one job at a time.
 *
 * All hold the same models. {@link switchTo} brings other models: new workers load them beside the old ones, then take
 * over; the old ones finish the jobs that only they can do, and end, which frees their memory.
 *
 * No job waits forever: it is answered, refused at admission (QUEUE_FULL, CALLER_QUEUE_FULL, IMAGE_QUARANTINED,
 * CALLER_QUARANTINED), or refused at its deadline (INFERENCE_TIMEOUT). A job that would be late because of other jobs is
 * refused with QUEUE_FULL, at admission where that is foreseeable, else at its turn. A worker that ends, or does not answer by
 * the deadline, is replaced; its job is tried once more on another, then refused (INFERENCE_FAILED).
 */
export class WorkerPool {
  private readonly queue: FairQueue<Task>;
  private readonly quarantine = new Quarantine();
  /** Gets all new jobs. */
  private current: WorkerSet;
  /** The current set, one that is loading, and those that are retiring. */
  private readonly sets = new Set<WorkerSet>();
  private readonly statistics = new RunStatistics();
  private readonly drainRate = new DrainRate();
  private readonly supervisor: WorkerSupervisor;
  private closed = false;
  private readonly drained: (() => void)[] = [];
  private running = 0;

  private constructor(
    private readonly options: WorkerPoolOptions,
    plan: WorkerPlan,
  ) {
    this.queue = new FairQueue(options.queueSize, options.queueBytes);
    this.supervisor = new WorkerSupervisor(options, (worker, set) => this.release(worker, set));
    this.current = this.addSet(plan);
  }

  /**
   * Starts every worker and waits until all are ready.
   *
   * @throws {FaceError} the reason of the first worker that fails; the others are ended.
   */
  static async start(options: WorkerPoolOptions, plan: WorkerPlan): Promise<WorkerPool> {
    const pool = new WorkerPool(options, plan);
    try {
      await Promise.all(
        Array.from({ length: options.workerCount }, () => pool.supervisor.start(pool.current)),
      );
    } catch (error) {
      await pool.close(0);
      throw error;
    }
    return pool;
  }

  /**
   * Replaces all workers by workers with other models. Settles when the old ones have ended.
   *
   * @param onTakeOver - called in the same turn of the event loop in which the new workers take over.
   * @throws {FaceError} the reason of the first new worker that fails; the old ones still serve.
   */
  async switchTo(plan: WorkerPlan, onTakeOver: () => void): Promise<void> {
    const next = this.addSet(plan);
    try {
      // One after the other: they load on the cores of the old ones, which still serve.
      for (let started = 0; started < this.options.workerCount; started++) {
        if (this.closed) throw shuttingDown();
        await this.supervisor.start(next);
      }
      if (this.closed) throw shuttingDown();
    } catch (error) {
      this.retire(next);
      await next.stop();
      throw this.closed ? shuttingDown() : error;
    }
    const old = this.current;
    this.current = next;
    onTakeOver();
    this.retire(old);
    for (const worker of next.idle.splice(0)) this.release(worker, next);
    await old.retired;
  }

  /** Runs a model once in every worker. A worker that ends meanwhile, or hangs, is replaced by a warm one. */
  async warm(model: string): Promise<void> {
    const ready = [...this.current.workers].filter(([, models]) => models != null);
    await Promise.all(
      ready.map(async ([worker]) => {
        const hung = setTimeout(() => void worker.stop(), this.options.requestTimeoutMs);
        try {
          await worker.warm(model);
        } catch (error) {
          if (!(error instanceof WorkerEndedError)) throw error;
        } finally {
          clearTimeout(hung);
        }
      }),
    );
  }

  /** Queues a job. */
  run(job: FaceJob, { signal, timeoutMs, caller = '' }: RunOptions = {}): Promise<FaceJobResult> {
    if (this.closed) return Promise.reject(shuttingDown());
    if (signal?.aborted) return Promise.reject(aborted());
    const limitMs = Math.min(timeoutMs ?? Infinity, this.options.requestTimeoutMs);
    const task = new Task(job, caller, limitMs, signal, (withdrawn) => this.queue.remove(withdrawn));
    const refusal = this.quarantine.refusalOf(task);
    if (refusal != null) task.reject(quarantined(refusal));
    else this.admit(task);
    return task.answer;
  }

  /**
   * The error with which every job of this caller would be refused at admission now; `null` where a job would be taken.
   */
  refusal(caller = ''): FaceError | null {
    if (this.closed) return shuttingDown();
    const blame = this.quarantine.refusalOfCaller(caller);
    if (blame != null) return quarantined(blame);
    if (this.current.idle.length > 0) return null;
    const places = this.placesFor(caller, this.current, this.options.requestTimeoutMs);
    const overflow = this.queue.refusalOf({ caller, bytes: 0 }, places);
    return overflow == null ? null : this.queueFull(overflow);
  }

  /** Loads of a model since the boot, those of replaced workers included. */
  loadCount(model: string): number {
    return this.supervisor.loadCount(model);
  }

  /** The loads of a model in the current workers, one entry per worker. */
  loadedIn(model: string): LoadedModel[] {
    return this.current.loaded().filter(({ name }) => name === model);
  }

  runsOf(model: string): RunSummary {
    return this.statistics.of(model);
  }

  status(): PoolStatus {
    const { queue } = this;
    return {
      workers: [...this.sets].flatMap((set) => set.states()),
      restarts: this.supervisor.restarts,
      queue: {
        length: queue.length,
        bytes: queue.bytes,
        maxLength: queue.maxCount,
        maxBytes: queue.maxBytes,
        running: this.running,
      },
    };
  }

  readiness(): { ready: boolean; reason?: string } {
    if (this.closed) return { ready: false, reason: 'shutting down' };
    const deaths = this.supervisor.crashLoop;
    if (deaths != null) return { ready: false, reason: `inference workers keep ending: ${deaths} in a row` };
    // The number of workers does not count: one that is still loading its models answers nothing.
    return this.current.idle.length > 0 || this.current.busy.size > 0
      ? { ready: true }
      : { ready: false, reason: 'no inference worker is running' };
  }

  /** Refuses waiting jobs, lets running ones finish within `limitMs`, then ends every worker. */
  async close(limitMs: number = this.options.requestTimeoutMs): Promise<void> {
    this.closed = true;
    this.supervisor.close();
    for (const task of this.queue.clear()) task.reject(shuttingDown());
    if (this.running > 0 && limitMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        this.whenDrained(),
        new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs))),
      ]);
      clearTimeout(timer);
    }
    await Promise.all([...this.sets].map((set) => set.stop()));
  }

  private whenDrained(): Promise<void> {
    return new Promise((resolve) => this.drained.push(resolve));
  }

  private addSet(plan: WorkerPlan): WorkerSet {
    const set = new WorkerSet(plan);
    this.sets.add(set);
    return set;
  }

  /** The set finishes the jobs that no other set can do, and ends. */
  private retire(set: WorkerSet): void {
    set.retire();
    void set.retired.then(() => {
      this.sets.delete(set);
      this.refuseOrphans();
    });
    for (const worker of set.idle.splice(0)) this.release(worker, set);
  }

  /** Refuses waiting jobs whose models went with their last worker. */
  private refuseOrphans(): void {
    const isOrphan = (task: Task) => this.setFor(task) == null;
    for (let task = this.queue.shift(isOrphan); task != null; task = this.queue.shift(isOrphan)) {
      task.reject(modelUnloaded());
    }
  }

  /** An idle worker takes the task, or it waits. */
  private admit(task: Task): void {
    const { caller, limitMs } = task;
    const set = this.setFor(task) ?? this.current;
    const worker = set.idle.pop();
    if (worker != null) return void this.execute(task, worker, set);
    const overflow = this.queue.push(task, this.placesFor(caller, set, limitMs));
    if (overflow != null) task.reject(this.queueFull(overflow));
  }

  /** The current set where it holds the models of the task, else a retiring set that does. */
  private setFor({ job }: Task): WorkerSet | undefined {
    if (this.current.canRun(job)) return this.current;
    return [...this.sets].find((set) => set.isRetiring && set.canRun(job) && set.workers.size > 0);
  }

  /** The worker takes the next job for its set, or waits for one. */
  private release(worker: InferenceWorker, set: WorkerSet): void {
    if (!set.workers.has(worker) || this.closed) return;
    const task = this.nextFor(set);
    if (task != null) void this.execute(task, worker, set);
    else if (set.isRetiring) void worker.stop();
    else set.idle.push(worker);
  }

  /** The next task that can still be in time; a run that is too late would delay others as well. */
  private nextFor(set: WorkerSet): Task | undefined {
    for (;;) {
      const task = this.queue.shift((waiting) => this.setFor(waiting) === set);
      if (task == null) return undefined;
      // Since its admission other jobs of this caller, or with this image, may have ended workers.
      const refusal = this.quarantine.refusalOf(task);
      if (refusal != null) {
        task.reject(quarantined(refusal));
        continue;
      }
      const leftMs = task.admittedAt + task.limitMs - performance.now();
      // A task whose worker ended had its turn in time.
      if (task.attempts > 0 || !this.drainRate.isTooLate(task.limitMs, leftMs)) return task;
      task.reject(this.queueFull('full'));
    }
  }

  private async execute(task: Task, worker: InferenceWorker, set: WorkerSet): Promise<void> {
    task.attempts++;
    this.running++;
    set.busy.add(worker);
    const startedAt = performance.now();
    const queueMs = startedAt - task.admittedAt;
    // The native run cannot be interrupted: only the end of the process frees a hung worker. A deadline of the caller
    // does not end it: the image may be harmless.
    const hung = setTimeout(() => void worker.stop(), this.options.requestTimeoutMs);
    try {
      const result = await worker.run(task.job);
      result.timings.queueMs = queueMs;
      this.statistics.add(result.runs);
      this.answered(task, startedAt);
      task.resolve(result);
    } catch (error) {
      if (error instanceof WorkerEndedError) this.retry(task, error);
      else {
        this.answered(task, startedAt, error);
        task.reject(error as Error);
      }
    }
    clearTimeout(hung);
    this.running--;
    set.busy.delete(worker);
    if (this.running === 0) for (const resolve of this.drained.splice(0)) resolve();
    this.release(worker, set);
  }

  private answered(task: Task, startedAt: number, error?: unknown): void {
    const { caller } = task;
    this.supervisor.forgetDeaths();
    if (hasStalled(error)) this.quarantine.blame(task);
    else this.quarantine.acquit(task);
    const at = performance.now();
    this.drainRate.add({ caller, at, runMs: at - startedAt });
  }

  private placesFor(caller: string, { idle, busy }: WorkerSet, limitMs: number): number {
    return this.drainRate.placesInTime({
      caller,
      callers: this.queue.callersWith(caller),
      workers: idle.length + busy.size,
      limitMs,
      now: performance.now(),
    });
  }

  /** Gives a job whose worker ended to the next worker, once. */
  private retry(task: Task, error: WorkerEndedError): void {
    this.quarantine.blame(task);
    if (task.isSettled) return;
    if (task.attempts >= MAX_ATTEMPTS || this.closed) return task.reject(error);
    const set = this.setFor(task);
    if (set == null) return task.reject(modelUnloaded());
    this.queue.unshift(task);
    const next = set.idle.pop();
    if (next != null) this.release(next, set);
  }

  private queueFull(refusal: 'caller' | 'full'): FaceError {
    const retryAfterSeconds = this.drainRate.secondsToDrain(this.queue.length, performance.now());
    return refusal === 'caller'
      ? new FaceError('CALLER_QUEUE_FULL', 'Your share of the queue is full.', { retryAfterSeconds })
      : queueFull(retryAfterSeconds);
  }
}

/** The decoder was stopped in the middle of the image; the worker lives on. */
function hasStalled(error: unknown): boolean {
  return error instanceof FaceError && error.code === 'IMAGE_DECODE_TIMEOUT';
}
