import type { ChildProcess } from 'node:child_process';
import { FaceError } from '../errors';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import { forkWorker } from './fork-worker';
import type { LoadedModel, PlainError, WorkerReply, WorkerRequest, WorkerSettings } from './worker-protocol';

/** The worker ended before it answered. */
export class WorkerEndedError extends FaceError {
  constructor() {
    super('INFERENCE_FAILED', 'The worker ended before it answered.', { retryAfterSeconds: 1 });
  }
}

/** Something that runs one job at a time. */
export abstract class InferenceWorker {
  /** Settles once the models are loaded and warmed. Rejects with the coded reason where they cannot be. */
  abstract readonly ready: Promise<LoadedModel[]>;
  /** Settles when the worker has ended, by itself or by {@link stop}. */
  abstract readonly ended: Promise<void>;
  /** Number of the process; `null` where it could not be started. */
  abstract readonly pid: number | null;
  /** Runs a model once on black pixels. Rejects with {@link WorkerEndedError} where the worker ends before that. */
  abstract warm(model: string): Promise<void>;
  /** Runs a job. Rejects with {@link WorkerEndedError} where the worker ends before it answers. */
  abstract run(job: FaceJob): Promise<FaceJobResult>;
  /** Ends the worker at once; a running job is rejected. */
  abstract stop(): Promise<void>;
}

interface PendingReply {
  resolve: (value: FaceJobResult | undefined) => void;
  reject: (error: Error) => void;
}

type Reply = Extract<WorkerReply, { id: number }>;
type RequestWithId = Extract<WorkerRequest, { id: number }>;
/** Without its id; distributes over the kinds of request. */
type Unnumbered<Request> = Request extends RequestWithId ? Omit<Request, 'id'> : never;

/**
 * A child process. Not a thread: ending a thread in the middle of a native run aborts the whole server, a crash of a
 * decoder or of the runtime would take the server with it, and only the end of a process surely gives memory back.
 */
export class ProcessWorker extends InferenceWorker {
  readonly ready: Promise<LoadedModel[]>;
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, PendingReply>();
  private nextId = 1;

  constructor(
    file: string,
    settings: WorkerSettings,
    bootTimeoutMs: number,
    onProgress?: (model: string) => void,
  ) {
    super();
    this.child = forkWorker(file);
    this.ended = new Promise((resolve) => {
      this.child.once('exit', () => resolve());
      this.child.once('error', () => resolve());
    });
    this.ready = this.boot(bootTimeoutMs, onProgress);
    // Callers see the rejection; without a caller it must not end the process as unhandled.
    this.ready.catch(() => undefined);
    void this.ended.then(() => {
      for (const request of this.pending.values()) request.reject(new WorkerEndedError());
      this.pending.clear();
    });
    this.send({ type: 'start', settings });
  }

  private async boot(timeoutMs: number, onProgress?: (model: string) => void): Promise<LoadedModel[]> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<LoadedModel[]>((resolve, reject) => {
        this.child.on('message', (reply: WorkerReply) => {
          if (reply.type === 'progress') onProgress?.(reply.model);
          else if (reply.type === 'ready') resolve(reply.models);
          else if (reply.type === 'failure') reject(toFaceError(reply.error));
          else if (['result', 'warmed', 'error'].includes(reply.type)) this.settle(reply as Reply);
          // An unknown message means a broken worker, which must not get the next job.
          else void this.stop();
        });
        void this.ended.then(() => reject(new WorkerEndedError()));
        timer = setTimeout(
          () => reject(new FaceError('INFERENCE_FAILED', `A worker was not ready within ${timeoutMs} ms.`)),
          timeoutMs,
        );
      });
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get pid(): number | null {
    return this.child.pid ?? null;
  }

  run(job: FaceJob): Promise<FaceJobResult> {
    return this.ask({ type: 'run', job }) as Promise<FaceJobResult>;
  }

  async warm(model: string): Promise<void> {
    await this.ask({ type: 'warm', model });
  }

  private ask(request: Unnumbered<RequestWithId>): Promise<FaceJobResult | undefined> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.pending.set(id, { resolve, reject });
      this.send({ ...request, id });
    });
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private send(request: WorkerRequest): void {
    // A send to a worker that has just ended fails; `ended` then rejects the pending requests.
    this.child.send(request, () => undefined);
  }

  private settle(reply: Reply): void {
    const request = this.pending.get(reply.id);
    if (request == null) return;
    this.pending.delete(reply.id);
    if (reply.type === 'error') request.reject(toFaceError(reply.error));
    else request.resolve(reply.type === 'result' ? reply.value : undefined);
  }
}

function toFaceError({ code, message, details, cause }: PlainError): FaceError {
  return new FaceError(code, message, details, { cause });
}
