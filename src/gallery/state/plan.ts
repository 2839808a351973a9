import type { RecordContent } from './entries';
import type { LayeredMap } from './layered-map';
import type { NumberPool } from './number-pool';

/** One record that is to be written. */
export interface RecordWrite {
  number: number;
  content: RecordContent;
}

/** One change of a store, made of several: planned at once, settled when it is safe, else forgotten. */
export class Plan {
  readonly writes: RecordWrite[] = [];
  /** Numbers of the records that are to go. */
  readonly erasures: number[] = [];
  private readonly onSettle: (() => void)[] = [];
  private readonly onForget: (() => void)[] = [];

  /** @param records - numbers of the records in the file. */
  constructor(private readonly records: NumberPool) {}

  /** Nothing is to be written. */
  get isEmpty(): boolean {
    return this.writes.length === 0 && this.erasures.length === 0;
  }

  /** Takes a number, which goes back if the plan is forgotten. */
  take(pool: NumberPool): number {
    const number = pool.take();
    this.onForget.push(() => pool.give(number));
    return number;
  }

  /** Writes a record. `make` gets its number. */
  write<T>(make: (record: number) => T, toContent: (entry: T) => RecordContent): T {
    const number = this.take(this.records);
    const entry = make(number);
    this.writes.push({ number, content: toContent(entry) });
    return entry;
  }

  /** Takes a record away; its number can be taken again when it has left the file. */
  erase(record: number): void {
    this.erasures.push(record);
  }

  set<T>(map: LayeredMap<T>, key: string, value: T | undefined): void {
    map.plan(key, value);
    this.onSettle.push(() => map.settle(key, value));
    this.onForget.push(() => map.forgetPlans());
  }

  /** Does more when all that was planned before has settled. */
  afterwards(settle: () => void): void {
    this.onSettle.push(settle);
  }

  settle(): void {
    for (const settle of this.onSettle) settle();
  }

  /** With all plans that have not settled. */
  forget(): void {
    for (const forget of this.onForget) forget();
  }
}
