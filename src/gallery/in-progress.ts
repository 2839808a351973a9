/**
 * Work in progress, by its number alone.
 *
 * Not a set of promises: a set that changes with every request outgrows its table again and again. V8 links each old table to
 * the next, so that once one of them is in the old generation, they and all that they held stay there until a full collection.
 */
export class InProgress {
  private count = 0;
  private readonly waiting: (() => void)[] = [];

  get isEmpty(): boolean {
    return this.count === 0;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    this.count++;
    try {
      return await work();
    } finally {
      if (--this.count === 0) for (const resolve of this.waiting.splice(0)) resolve();
    }
  }

  /** Settles as soon as no work is in progress. Never rejects. */
  async ended(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}
