/** Whole numbers from 0, dense: what was given back is taken first. */
export class NumberPool {
  private readonly free: number[] = [];

  /** @param end - the first number that was never taken. */
  constructor(private end = 0) {}

  take(): number {
    return this.free.pop() ?? this.end++;
  }

  give(number: number): void {
    this.free.push(number);
  }

  /** Above every number that is taken. */
  get bound(): number {
    return this.end;
  }
}
