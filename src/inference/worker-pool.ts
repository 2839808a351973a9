import { FaceError } from '../errors';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import { FairQueue } from './fair-queue';
import { type InferenceWorker, WorkerEndedError } from './inference-worker';
import { Quarantine, QUARANTINE_MS } from './quarantine';
import type { LoadedModel } from './worker-protocol';

export interface WorkerPoolOptions {
  workerCount: number;
  /** Jobs that may wait; one more is refused. */
  queueSize: number;
  /** Bytes of the images that may wait, together. */
  queueBytes: number;
  /** Most milliseconds from admission to answer. */
  requestTimeoutMs: number;
  /** Makes a worker that is already starting. */
  createWorker: () => InferenceWorker;
}

/** What a caller says of a job. */
export interface RunOptions {
  /** Drops the job while it waits; once it runs, it finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to the deadline, where it is sooner than the pool's own. */
  timeoutMs?: number;
  /** Whose job it is: callers are served in turn. Jobs without one share a line that may fill the queue. */
  caller?: string;
}

/** Pause before a worker is started again, doubled for every one that ended of late. */
const FIRST_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 30_000;
/** Shortest time that a replacement is given to load its models. */
const MIN_RESTART_LIMIT_MS = 5000;
/** So many workers ended, and in between not one job was answered or one worker stayed: that is a crash loop. */
const CRASH_LOOP_DEATHS = 5;
/** A worker that is up for so long after its warm-up stays. */
const STABLE_MS = 1000;
/** Workers a job may be given to: what ends two is not given to a third. */
const MAX_ATTEMPTS = 2;
/** Answers that the drain rate is taken from. */
const RATE_WINDOW = 32;
const MAX_RETRY_AFTER_SECONDS = 60;

interface Task {
  job: FaceJob;
  caller: string;
  bytes: number;
  admittedAt: number;
  attempts: number;
  resolve: (result: FaceJobResult) => void;
  reject: (error: Error) => void;
  /** Nobody waits for it any more. */
  isSettled: boolean;
}

/**
 * Workers behind one bounded queue; each runs one job at a time.
 *
 * Nothing waits for ever: a job is answered, refused at admission (QUEUE_FULL, CALLER_QUEUE_FULL, IMAGE_QUARANTINED), or
 * refused at its deadline (INFERENCE_TIMEOUT). A worker that ends, or does not answer by the deadline, is replaced; what
 * it ran is tried once more on another, then refused (INFERENCE_FAILED).
 */
export class WorkerPool {
  private readonly queue: FairQueue<Task>;
  private readonly quarantine = new Quarantine();
  private readonly idle: InferenceWorker[] = [];
  private readonly workers = new Set<InferenceWorker>();
  private readonly loads = new Map<string, LoadedModel[]>();
  private readonly answeredAt: number[] = [];
  private recentDeaths = 0;
  /** Slowest start so far. */
  private bootMs?: number;
  private closed = false;
  private readonly drained: (() => void)[] = [];
  private running = 0;

  private constructor(private readonly options: WorkerPoolOptions) {
    this.queue = new FairQueue(options.queueSize, options.queueBytes);
  }

  /**
   * Starts every worker and waits until all are ready.
   *
   * @throws {FaceError} the reason of the first worker that fails; the others are ended.
   */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      await Promise.all(Array.from({ length: options.workerCount }, () => pool.startWorker()));
    } catch (error) {
      await pool.close(0);
      throw error;
    }
    return pool;
  }

  /** Queues a job. */
  run(job: FaceJob, { signal, timeoutMs, caller = '' }: RunOptions = {}): Promise<FaceJobResult> {
    if (this.closed) return Promise.reject(shuttingDown());
    if (signal?.aborted) return Promise.reject(aborted());
    if (this.quarantine.refuses(job.image)) return Promise.reject(quarantined());
    const limitMs = Math.min(timeoutMs ?? Infinity, this.options.requestTimeoutMs);
    return new Promise<FaceJobResult>((resolve, reject) => {
      const onAbort = () => {
        this.queue.remove(task);
        task.reject(aborted());
      };
      const timer = setTimeout(() => {
        this.queue.remove(task);
        task.reject(timedOut(limitMs));
      }, limitMs);
      const settle = <T>(finish: (value: T) => void) => {
        return (value: T) => {
          task.isSettled = true;
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          finish(value);
        };
      };
      const task: Task = {
        job,
        caller,
        bytes: job.image.byteLength,
        admittedAt: performance.now(),
        attempts: 0,
        resolve: settle(resolve),
        reject: settle(reject),
        isSettled: false,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const worker = this.idle.pop();
      if (worker != null) return void this.execute(task, worker);
      const refusal = this.queue.push(task);
      if (refusal != null) task.reject(this.queueFull(refusal));
    });
  }

  /** Every load of every model since the start, replaced workers included. */
  loadsOf(model: string): readonly LoadedModel[] {
    return this.loads.get(model) ?? [];
  }

  readiness(): { ready: boolean; reason?: string } {
    if (this.closed) return { ready: false, reason: 'shutting down' };
    if (this.recentDeaths >= CRASH_LOOP_DEATHS) {
      return {
        ready: false,
        reason: `inference workers keep ending: ${this.recentDeaths} in a row`,
      };
    }
    // Not the number of workers: one that is still loading its models answers nothing.
    return this.idle.length > 0 || this.running > 0
      ? { ready: true }
      : { ready: false, reason: 'no inference worker is running' };
  }

  /** Refuses what waits, lets what runs finish within `limitMs`, then ends every worker. */
  async close(limitMs: number = this.options.requestTimeoutMs): Promise<void> {
    this.closed = true;
    for (const task of this.queue.clear()) task.reject(shuttingDown());
    if (this.running > 0 && limitMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        this.whenDrained(),
        new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs))),
      ]);
      clearTimeout(timer);
    }
    await Promise.all([...this.workers].map((worker) => worker.stop()));
  }

  private whenDrained(): Promise<void> {
    return new Promise((resolve) => this.drained.push(resolve));
  }

  private async startWorker(): Promise<void> {
    const startedAt = performance.now();
    const worker = this.options.createWorker();
    this.workers.add(worker);
    void worker.ended.then(() => this.forget(worker));
    // A replacement that takes many times as long as the first workers did hangs: it is not waited for that long.
    const limitMs = this.bootMs == null ? undefined : Math.max(MIN_RESTART_LIMIT_MS, 5 * this.bootMs);
    const hung = limitMs == null ? undefined : setTimeout(() => void worker.stop(), limitMs);
    const loaded = await worker.ready.finally(() => clearTimeout(hung));
    this.bootMs = Math.max(this.bootMs ?? 0, performance.now() - startedAt);
    for (const model of loaded) this.loads.set(model.name, [...this.loadsOf(model.name), model]);
    void worker.ended.then(() => this.replace());
    setTimeout(() => this.workers.has(worker) && (this.recentDeaths = 0), STABLE_MS).unref();
    this.release(worker);
  }

  private forget(worker: InferenceWorker): void {
    this.workers.delete(worker);
    const at = this.idle.indexOf(worker);
    if (at >= 0) this.idle.splice(at, 1);
  }

  private replace(): void {
    if (this.closed) return;
    const delay = Math.min(MAX_RESTART_DELAY_MS, FIRST_RESTART_DELAY_MS * 2 ** this.recentDeaths++);
    setTimeout(() => {
      if (!this.closed) this.startWorker().catch(() => this.replace());
    }, delay).unref();
  }

  /** The worker takes the next job, or waits for one. */
  private release(worker: InferenceWorker): void {
    if (!this.workers.has(worker) || this.closed) return;
    const task = this.queue.shift();
    if (task == null) this.idle.push(worker);
    else void this.execute(task, worker);
  }

  private async execute(task: Task, worker: InferenceWorker): Promise<void> {
    task.attempts++;
    this.running++;
    const queueMs = performance.now() - task.admittedAt;
    // The native run cannot be interrupted: only the end of the process frees a worker that hangs. A deadline that the
    // caller set is no reason: the image may be an honest one.
    const hung = setTimeout(() => void worker.stop(), this.options.requestTimeoutMs);
    try {
      const result = await worker.run(task.job);
      result.timings.queueMs = queueMs;
      this.answered(task);
      task.resolve(result);
    } catch (error) {
      if (error instanceof WorkerEndedError) this.retry(task, error);
      else {
        this.answered(task);
        task.reject(error as Error);
      }
    }
    clearTimeout(hung);
    this.running--;
    if (this.running === 0) for (const resolve of this.drained.splice(0)) resolve();
    this.release(worker);
  }

  private answered(task: Task): void {
    this.recentDeaths = 0;
    this.quarantine.acquit(task.job.image);
    this.answeredAt.push(performance.now());
    if (this.answeredAt.length > RATE_WINDOW) this.answeredAt.shift();
  }

  /** Gives a job whose worker ended to the next one, once. */
  private retry(task: Task, error: WorkerEndedError): void {
    this.quarantine.blame(task.job.image);
    if (task.isSettled) return;
    if (task.attempts >= MAX_ATTEMPTS || this.closed) return task.reject(error);
    this.queue.unshift(task);
    const next = this.idle.pop();
    if (next != null) this.release(next);
  }

  private queueFull(refusal: 'caller' | 'full'): FaceError {
    const retryAfterSeconds = this.secondsToDrain();
    return refusal === 'caller'
      ? new FaceError('CALLER_QUEUE_FULL', 'Your share of the queue is full.', { retryAfterSeconds })
      : new FaceError('QUEUE_FULL', 'The queue is full.', { retryAfterSeconds });
  }

  /** Seconds until what waits now is done, at the rate of the last answers. */
  private secondsToDrain(): number {
    const [first] = this.answeredAt;
    const spanMs = performance.now() - (first ?? performance.now());
    if (spanMs <= 0) return 1;
    const perSecond = (this.answeredAt.length / spanMs) * 1000;
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(this.queue.length / perSecond)));
  }
}

function shuttingDown(): FaceError {
  return new FaceError('NOT_READY', 'The service is shutting down.');
}

function aborted(): FaceError {
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the answer.');
}

function timedOut(limitMs: number): FaceError {
  return new FaceError('INFERENCE_TIMEOUT', `The image was not answered within ${limitMs} ms.`);
}

function quarantined(): FaceError {
  return new FaceError('IMAGE_QUARANTINED', 'Two workers ended on this image: it is refused for a while.', {
    retryAfterSeconds: QUARANTINE_MS / 1000,
  });
}
