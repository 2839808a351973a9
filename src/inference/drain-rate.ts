/** An image that a worker has answered. */
interface Answer {
  caller: string;
  /** `performance.now()` of the answer. */
  at: number;
  /** Time in the worker, ms. */
  runMs: number;
}

/** The caller of an image, and the competition for the workers. */
interface QueueLoad {
  caller: string;
  /** Waiting callers, this one included. */
  callers: number;
  /** Workers that answer images. */
  workers: number;
  /** Time from now to the deadline of the image. */
  limitMs: number;
  /** `performance.now()`. */
  now: number;
}

/** Answers that the rate is measured over. */
const WINDOW = 32;
/** Older answers say nothing about the callers of now. */
const RECENT_MS = 10_000;
const MAX_RETRY_AFTER_SECONDS = 60;
/** Part of the time to the deadline that waiting may take: images differ, and other callers may come. */
const WAIT_SHARE = 0.6;
/** A run needs this many times the recent mean to be likely in time: images differ. */
const RUN_MARGIN = 2;

/** The recent rate of answers, from which the cost of waiting follows. */
export class DrainRate {
  private readonly answers: Answer[] = [];

  add(answer: Answer): void {
    this.answers.push(answer);
    if (this.answers.length > WINDOW) this.answers.shift();
  }

  /** Whole seconds until `count` images are done, [1, 60]. */
  secondsToDrain(count: number, now: number): number {
    const spanMs = now - (this.answers[0]?.at ?? now);
    if (spanMs <= 0) return 1;
    const perSecond = (this.answers.length / spanMs) * 1000;
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(count / perSecond)));
  }

  /**
   * Number of images of one caller that may wait, so that the last one is likely to be answered by its deadline: a late
   * answer costs as much as one in time, and is useless.
   *
   * The caller is served at the rate of all workers, less the recent share of the others, and never less than its turn.
   */
  placesInTime({ caller, callers, workers, limitMs, now }: QueueLoad): number {
    const runMs = this.meanRunMs();
    // Nothing is known yet, or the answer would be late without a queue too.
    if (!(runMs > 0) || workers === 0 || limitMs <= runMs) return Infinity;
    const recent = this.answers.filter(({ at }) => now - at < RECENT_MS);
    const others = recent.filter((answer) => answer.caller !== caller).length;
    // A recently served caller may come again.
    const turn = 1 / Math.max(callers, others > 0 ? 2 : 1);
    const share = Math.max(turn, 1 - others / Math.max(1, recent.length));
    return Math.floor((WAIT_SHARE * (limitMs - runMs) * share * workers) / runMs);
  }

  /**
   * Whether an image whose turn has come only now can still be answered by its deadline.
   *
   * @param limitMs - time from admission to deadline.
   * @param leftMs - the rest of it after waiting.
   */
  isTooLate(limitMs: number, leftMs: number): boolean {
    const neededMs = RUN_MARGIN * this.meanRunMs();
    // The caller chose a deadline that leaves no room for a run: the queue did not cause the delay.
    return limitMs > neededMs && leftMs < neededMs;
  }

  /** NaN before the first answer. */
  private meanRunMs(): number {
    return this.answers.reduce((total, { runMs }) => total + runMs, 0) / this.answers.length;
  }
}
