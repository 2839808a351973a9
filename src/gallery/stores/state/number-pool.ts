/** Dense integers from 0; returned numbers are reused first. */
export class NumberPool {
  private readonly free: number[] = [];

  /** @param end - the first number never taken. */
  constructor(private end = 0) {}

  take(): number {
    return this.free.pop() ?? this.end++;
  }

  give(number: number): void {
    this.free.push(number);
  }

  /** One above the largest number ever taken. */
  get bound(): number {
    return this.end;
  }
}
