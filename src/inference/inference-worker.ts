import { type ChildProcess, fork } from 'node:child_process';
import { FaceError } from '../errors';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import type { LoadedModel, PlainError, WorkerReply, WorkerRequest, WorkerSettings } from './worker-protocol';

/** The worker ended, for whatever reason, before it answered. */
export class WorkerEndedError extends FaceError {
  constructor() {
    super('INFERENCE_FAILED', 'The worker ended before it answered.', { retryAfterSeconds: 1 });
  }
}

/** Something that runs one job at a time. */
export abstract class InferenceWorker {
  /** Settles once the models are loaded and warmed. Rejects with the coded reason where they cannot be. */
  abstract readonly ready: Promise<LoadedModel[]>;
  /** Settles when the worker has ended, for whatever reason. */
  abstract readonly ended: Promise<void>;
  /** Runs a job. Rejects with {@link WorkerEndedError} where the worker ends before it answers. */
  abstract run(job: FaceJob): Promise<FaceJobResult>;
  /** Ends the worker at once; a running job is rejected. */
  abstract stop(): Promise<void>;
}

interface PendingJob {
  resolve: (value: FaceJobResult) => void;
  reject: (error: Error) => void;
}

/**
 * A child process. Not a thread: ending a thread in the middle of a native run aborts the whole server, a crash of a
 * decoder or of the runtime would take the server with it, and only the end of a process surely gives memory back.
 */
export class ProcessWorker extends InferenceWorker {
  readonly ready: Promise<LoadedModel[]>;
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, PendingJob>();
  private nextId = 1;

  constructor(
    file: string,
    settings: WorkerSettings,
    bootTimeoutMs: number,
    onProgress?: (model: string) => void,
  ) {
    super();
    // execArgv is not handed on: flags of the parent (inspector, loaders) are not meant for the worker.
    this.child = fork(file, {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', () => resolve());
      this.child.once('error', () => resolve());
    });
    this.ready = this.boot(bootTimeoutMs, onProgress);
    // Whoever waits sees the rejection; nobody waiting is no reason to end the process.
    this.ready.catch(() => undefined);
    void this.ended.then(() => {
      for (const job of this.pending.values()) job.reject(new WorkerEndedError());
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
          else if (reply.type === 'result' || reply.type === 'error') this.settle(reply);
          // A worker that speaks another language is not to be trusted with the next job.
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

  run(job: FaceJob): Promise<FaceJobResult> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.pending.set(id, { resolve, reject });
      this.send({ type: 'run', id, job });
    });
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private send(request: WorkerRequest): void {
    // A send to a worker that has just ended fails; `ended` then rejects what is pending.
    this.child.send(request, () => undefined);
  }

  private settle(reply: Extract<WorkerReply, { id: number }>): void {
    const job = this.pending.get(reply.id);
    if (job == null) return;
    this.pending.delete(reply.id);
    if (reply.type === 'result') job.resolve(reply.value);
    else job.reject(toFaceError(reply.error));
  }
}

function toFaceError({ code, message, details, cause }: PlainError): FaceError {
  return new FaceError(code, message, details, { cause });
}
