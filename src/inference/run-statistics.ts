import type { ModelRun } from '../pipeline/face-job';

/** Number of last jobs for the percentiles. */
const WINDOW = 256;

/** Count and duration of the runs of one model. */
export interface RunSummary {
  runs: number;
  /** Milliseconds of one run; `null` where it never ran. */
  runMs: { p50: number; p99: number } | null;
}

/** Counts the runs of every model, and remembers the durations of the last ones. */
export class RunStatistics {
  private readonly models = new Map<string, { runs: number; recentMs: number[] }>();

  add(runs: readonly ModelRun[]): void {
    for (const { model, count, ms } of runs) {
      const known = this.models.get(model) ?? { runs: 0, recentMs: [] };
      known.runs += count;
      known.recentMs.push(ms / count);
      if (known.recentMs.length > WINDOW) known.recentMs.shift();
      this.models.set(model, known);
    }
  }

  of(model: string): RunSummary {
    const { runs, recentMs } = this.models.get(model) ?? { runs: 0, recentMs: [] };
    if (recentMs.length === 0) return { runs, runMs: null };
    const sorted = [...recentMs].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return { runs, runMs: { p50: at(0.5), p99: at(0.99) } };
  }
}
