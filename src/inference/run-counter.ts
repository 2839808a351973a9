import type { ModelRun } from '../pipeline/face-job';
import type { TensorSession } from '../pipeline/tensor-session';

/** Counts the runs of a worker's models, and their time. */
export class RunCounter {
  private readonly runs = new Map<string, ModelRun>();

  /** The same session, counted under the name of its model. */
  count(model: string, session: TensorSession): TensorSession {
    return {
      run: async (data, dims) => {
        const startedAt = performance.now();
        try {
          return await session.run(data, dims);
        } finally {
          const { count, ms } = this.runs.get(model) ?? { count: 0, ms: 0 };
          this.runs.set(model, { model, count: count + 1, ms: ms + performance.now() - startedAt });
        }
      },
      release: () => session.release(),
    };
  }

  /** Runs since the last call. */
  take(): ModelRun[] {
    const runs = [...this.runs.values()];
    this.runs.clear();
    return runs;
  }
}
