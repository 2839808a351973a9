import { InferenceWorker, WorkerEndedError } from '../../src/inference/inference-worker';
import type { LoadedModel } from '../../src/inference/worker-protocol';
import type { FaceJob, FaceJobResult, ModelRun } from '../../src/pipeline/face-job';
import { NO_TIMINGS } from '../../src/pipeline/face.types';

/** Ids of what a {@link FakeWorker} holds unless said otherwise. */
export const FAKE_MODELS: readonly string[] = ['model'];

/** A worker whose answers the test gives. */
export class FakeWorker extends InferenceWorker {
  readonly pid = null;
  readonly ready: Promise<LoadedModel[]>;
  readonly ended: Promise<void>;
  readonly jobs: FaceJob[] = [];
  readonly warmed: string[] = [];
  end!: () => void;
  stopped = false;
  private running?: { resolve: (result: FaceJobResult) => void; reject: (error: Error) => void };

  /** @param ready - when it is ready, or the error that it fails with. */
  constructor(ready: Promise<void> | Error = Promise.resolve(), models = FAKE_MODELS) {
    super();
    const loaded: LoadedModel[] = models.map((name) => ({
      name,
      loadMs: 1,
      memoryBytes: 1,
      isPrepared: false,
      sharedBytes: 0,
    }));
    this.ended = new Promise((resolve) => (this.end = resolve));
    const endedFirst = this.ended.then(() => Promise.reject<LoadedModel[]>(new WorkerEndedError()));
    endedFirst.catch(() => undefined);
    const started = ready instanceof Error ? Promise.reject(ready) : ready.then(() => loaded);
    this.ready = Promise.race([started, endedFirst]);
    this.ready.catch(() => undefined);
    void this.ended.then(() => {
      this.running?.reject(new WorkerEndedError());
      this.running = undefined;
    });
  }

  run(job: FaceJob): Promise<FaceJobResult> {
    expect(this.running).toBeUndefined();
    this.jobs.push(job);
    return new Promise((resolve, reject) => (this.running = { resolve, reject }));
  }

  async warm(model: string): Promise<void> {
    this.warmed.push(model);
  }

  get isBusy(): boolean {
    return this.running != null;
  }

  answer(runs: ModelRun[] = []): void {
    const running = this.running;
    this.running = undefined;
    running?.resolve({
      imageWidth: 1,
      imageHeight: 1,
      rotation: 0,
      detectionScale: 1,
      unalignedCount: 0,
      faceCount: 0,
      faces: [],
      timings: { ...NO_TIMINGS },
      runs,
    });
  }

  /** Answers the running job with an error. */
  fail(error: Error): void {
    const running = this.running;
    this.running = undefined;
    running?.reject(error);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.end();
  }
}

/** A job that is identified by its detector's name. */
export function fakeJob(name: string, models = FAKE_MODELS): FaceJob {
  return {
    task: 'detect',
    image: Buffer.from(name),
    models,
    detector: name,
    embedder: '',
    selection: 'all',
    maxFaces: 1,
    minFaceSize: 0,
  };
}

/** `answered`, or the code that a call was refused with. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'answered',
    (error: unknown) => (error as { code: string }).code,
  );
}

/** Lets everything happen that is due now. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
