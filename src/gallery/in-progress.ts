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

  /**
   * Counts work that starts now. Does not wrap its promise: a later turn of the microtask queue could deliver a search result after
   * the response to a deletion.
   *
   * @returns a function to call once, at the end of the work.
   */
  start(): () => void {
    this.count++;
    return this.end;
  }

  /** Settles as soon as no work is in progress. Never rejects. */
  async ended(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private readonly end = (): void => {
    if (--this.count === 0) for (const resolve of this.waiting.splice(0)) resolve();
  };
}
