import { createHash } from 'node:crypto';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import type { Waiting } from './fair-queue';
import type { Origin } from './quarantine';
import { aborted, timedOut } from './refusals';

/** A job in the pool, from its admission to its answer. It settles once: answered, refused, aborted, or at its deadline. */
export class Task implements Origin, Waiting {
  readonly bytes: number;
  readonly admittedAt = performance.now();
  readonly imageHash: () => string;
  readonly answer: Promise<FaceJobResult>;
  /** Workers that the job was given to. */
  attempts = 0;
  /** The caller no longer waits for the answer. */
  isSettled = false;
  private resolveAnswer!: (result: FaceJobResult) => void;
  private rejectAnswer!: (error: Error) => void;
  private readonly timer: NodeJS.Timeout;

  /**
   * @param limitMs - time from admission to the deadline.
   * @param withdraw - takes the task out of the queue; called before it is rejected at its deadline or by the signal.
   */
  constructor(
    readonly job: FaceJob,
    readonly caller: string,
    readonly limitMs: number,
    private readonly signal: AbortSignal | undefined,
    private readonly withdraw: (task: Task) => void,
  ) {
    this.bytes = job.image.byteLength;
    this.imageHash = hashOnce(job.image);
    this.answer = new Promise((resolve, reject) => {
      this.resolveAnswer = resolve;
      this.rejectAnswer = reject;
    });
    this.timer = setTimeout(() => {
      this.withdraw(this);
      this.reject(timedOut(limitMs));
    }, limitMs);
    signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  resolve(result: FaceJobResult): void {
    this.settle();
    this.resolveAnswer(result);
  }

  reject(error: Error): void {
    this.settle();
    this.rejectAnswer(error);
  }

  private readonly onAbort = (): void => {
    this.withdraw(this);
    this.reject(aborted());
  };

  private settle(): void {
    this.isSettled = true;
    clearTimeout(this.timer);
    this.signal?.removeEventListener('abort', this.onAbort);
  }
}

/** Content hash of an image, computed at the first request: 0.6 ms a megabyte. */
function hashOnce(image: Uint8Array): () => string {
  let hash: string | undefined;
  return () => (hash ??= createHash('sha256').update(image).digest('base64'));
}
