import type { FaceJob } from '../pipeline/face-job';
import type { InferenceWorker } from './inference-worker';
import type { LoadedModel } from './worker-protocol';

/** The models of a set of workers, and the factory of its workers. */
export interface WorkerPlan {
  /** Ids of the models, as {@link FaceJob.models} names them. */
  models: ReadonlySet<string>;
  /** Creates a worker, which starts at once. */
  createWorker: () => InferenceWorker;
}

export interface WorkerState {
  worker: InferenceWorker;
  /** `retiring`: finishes its job with models that were unloaded, then ends. */
  state: 'starting' | 'idle' | 'busy' | 'retiring';
}

/** The workers that hold the same models. A change of models replaces the set. */
export class WorkerSet {
  /** Every worker that has not ended, with its models once it is ready. */
  readonly workers = new Map<InferenceWorker, readonly LoadedModel[] | null>();
  readonly idle: InferenceWorker[] = [];
  readonly busy = new Set<InferenceWorker>();
  /** Takes only jobs that no other set can do, and ends when none is left. */
  isRetiring = false;
  /** Settles when the last worker of a retiring set has ended. */
  readonly retired: Promise<void>;
  private resolveRetired!: () => void;

  constructor(readonly plan: WorkerPlan) {
    this.retired = new Promise((resolve) => (this.resolveRetired = resolve));
  }

  canRun({ models }: FaceJob): boolean {
    return models.every((model) => this.plan.models.has(model));
  }

  /** Models of the workers that are ready. */
  loaded(): LoadedModel[] {
    return [...this.workers.values()].flatMap((models) => models ?? []);
  }

  /** State of every worker that has not ended. */
  states(): WorkerState[] {
    return [...this.workers].map(([worker, models]) => {
      if (this.isRetiring) return { worker, state: 'retiring' };
      if (models == null) return { worker, state: 'starting' };
      return { worker, state: this.busy.has(worker) ? 'busy' : 'idle' };
    });
  }

  retire(): void {
    this.isRetiring = true;
    this.settle();
  }

  /** The worker has ended. */
  forget(worker: InferenceWorker): void {
    this.workers.delete(worker);
    this.busy.delete(worker);
    const at = this.idle.indexOf(worker);
    if (at >= 0) this.idle.splice(at, 1);
    this.settle();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.workers.keys()].map((worker) => worker.stop()));
  }

  private settle(): void {
    if (this.isRetiring && this.workers.size === 0) this.resolveRetired();
  }
}
