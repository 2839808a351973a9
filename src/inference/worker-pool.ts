import { FaceError } from '../errors';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import type { InferenceWorker } from './inference-worker';
import type { LoadedModel } from './worker-protocol';

export interface WorkerPoolOptions {
  workerCount: number;
  /** Jobs that may wait; one more is refused. */
  queueSize: number;
  /** Milliseconds from admission to answer. */
  requestTimeoutMs: number;
  /** Makes a worker that is already starting. */
  createWorker: () => InferenceWorker;
}

/** Longest pause before a worker that keeps ending is started again. */
const MAX_RESTART_DELAY_MS = 30_000;
const FIRST_RESTART_DELAY_MS = 200;

interface Task {
  job: FaceJob;
  admittedAt: number;
  resolve: (result: FaceJobResult) => void;
  reject: (error: Error) => void;
  /** The worker that runs it; absent while it waits. */
  worker?: InferenceWorker;
}

/**
 * Workers behind one bounded first-in-first-out queue; each runs one job at a time.
 *
 * Nothing waits for ever: a job is answered, refused at admission (QUEUE_FULL), or refused at its deadline
 * (INFERENCE_TIMEOUT). A worker that does not answer by then is replaced, as is one that ends.
 */
export class WorkerPool {
  private readonly queue: Task[] = [];
  private readonly idle: InferenceWorker[] = [];
  private readonly workers = new Set<InferenceWorker>();
  private readonly loads = new Map<string, LoadedModel[]>();
  private restarts = 0;
  private closed = false;
  private drained?: () => void;
  private running = 0;

  private constructor(private readonly options: WorkerPoolOptions) {}

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

  /** Queues a job. `signal` drops it while it waits; once it runs, it finishes unanswered. */
  run(job: FaceJob, signal?: AbortSignal): Promise<FaceJobResult> {
    if (this.closed) return Promise.reject(new FaceError('NOT_READY', 'The service is shutting down.'));
    if (signal?.aborted) return Promise.reject(aborted());
    if (this.queue.length >= this.options.queueSize && this.idle.length === 0) {
      return Promise.reject(
        new FaceError('QUEUE_FULL', `The queue is full: ${this.options.queueSize} images are waiting.`, {
          queueSize: this.options.queueSize,
        }),
      );
    }
    return new Promise<FaceJobResult>((resolve, reject) => {
      const task: Task = { job, admittedAt: performance.now(), resolve, reject };
      const onAbort = () => {
        this.withdraw(task);
        settle(() => reject(aborted()));
      };
      const timer = setTimeout(() => {
        this.withdraw(task);
        // The native run cannot be interrupted; only the end of the process frees the worker.
        if (task.worker != null) void task.worker.stop();
        settle(() => reject(timedOut(this.options.requestTimeoutMs)));
      }, this.options.requestTimeoutMs);
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      task.resolve = (result) => settle(() => resolve(result));
      task.reject = (error) => settle(() => reject(error));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.queue.push(task);
      this.dispatch();
    });
  }

  /** Every load of every model since the start, replaced workers included. */
  loadsOf(model: string): readonly LoadedModel[] {
    return this.loads.get(model) ?? [];
  }

  readiness(): { ready: boolean; reason?: string } {
    if (this.closed) return { ready: false, reason: 'shutting down' };
    return this.workers.size > 0
      ? { ready: true }
      : { ready: false, reason: 'no inference worker is running' };
  }

  /** Refuses what waits, lets what runs finish within `limitMs`, then ends every worker. */
  async close(limitMs: number = this.options.requestTimeoutMs): Promise<void> {
    this.closed = true;
    for (const task of this.queue.splice(0))
      task.reject(new FaceError('NOT_READY', 'The service is shutting down.'));
    if (this.running > 0 && limitMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        new Promise<void>((resolve) => (this.drained = resolve)),
        new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs))),
      ]);
      clearTimeout(timer);
    }
    await Promise.all([...this.workers].map((worker) => worker.stop()));
  }

  private async startWorker(): Promise<void> {
    const worker = this.options.createWorker();
    this.workers.add(worker);
    try {
      const loaded = await worker.ready;
      for (const model of loaded) this.loads.set(model.name, [...this.loadsOf(model.name), model]);
    } catch (error) {
      this.workers.delete(worker);
      throw error;
    }
    this.restarts = 0;
    void worker.ended.then(() => this.replace(worker));
    this.idle.push(worker);
    this.dispatch();
  }

  private replace(worker: InferenceWorker): void {
    this.workers.delete(worker);
    const at = this.idle.indexOf(worker);
    if (at >= 0) this.idle.splice(at, 1);
    this.restartLater();
  }

  private restartLater(): void {
    if (this.closed) return;
    const delay = Math.min(MAX_RESTART_DELAY_MS, FIRST_RESTART_DELAY_MS * 2 ** this.restarts++);
    setTimeout(() => {
      if (!this.closed) this.startWorker().catch(() => this.restartLater());
    }, delay).unref();
  }

  private dispatch(): void {
    while (this.queue.length > 0 && this.idle.length > 0) {
      void this.execute(this.queue.shift() as Task, this.idle.pop() as InferenceWorker);
    }
  }

  private async execute(task: Task, worker: InferenceWorker): Promise<void> {
    task.worker = worker;
    this.running++;
    const queueMs = performance.now() - task.admittedAt;
    try {
      const result = await worker.run(task.job);
      result.timings.queueMs = queueMs;
      task.resolve(result);
    } catch (error) {
      task.reject(error as Error);
    }
    this.running--;
    if (this.running === 0) this.drained?.();
    if (this.workers.has(worker) && !this.closed) {
      this.idle.push(worker);
      this.dispatch();
    }
  }

  private withdraw(task: Task): void {
    const at = this.queue.indexOf(task);
    if (at >= 0) this.queue.splice(at, 1);
  }
}

function aborted(): FaceError {
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the answer.');
}

function timedOut(limitMs: number): FaceError {
  return new FaceError('INFERENCE_TIMEOUT', `The image was not answered within ${limitMs} ms.`);
}
