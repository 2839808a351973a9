/** An item of the queue: its caller, and the bytes that it holds while it waits. */
export interface Waiting {
  caller: string;
  bytes: number;
}

/** Why a {@link FairQueue} refuses an item: the caller is over its share, or the queue is full. */
export type Refusal = 'caller' | 'full';

/**
 * A bounded queue that serves callers in turn, and the work of one caller in the order of arrival.
 *
 * A caller with a thousand images delays only itself. It may hold its share of the queue: the places divided by the waiting
 * callers and one newcomer. Work without a caller (`''`) has no share.
 */
export class FairQueue<T extends Waiting> {
  /** Work by caller; the order of the callers is the order of their turns. */
  private readonly lines = new Map<string, T[]>();
  private count = 0;
  private waitingBytes = 0;

  constructor(
    readonly maxCount: number,
    readonly maxBytes: number,
  ) {}

  get length(): number {
    return this.count;
  }

  /** Bytes of all waiting work. */
  get bytes(): number {
    return this.waitingBytes;
  }

  /** Number of waiting callers, `caller` included. */
  callersWith(caller: string): number {
    return this.lines.size + (this.lines.has(caller) ? 0 : 1);
  }

  /**
   * Adds work, or returns the reason against it.
   *
   * @param places - limit for the waiting work of this caller, where it is less than its share of the queue.
   */
  push(item: T, places = Infinity): Refusal | null {
    const refusal = this.refusalOf(item, places);
    if (refusal != null) return refusal;
    const line = this.lines.get(item.caller) ?? [];
    line.push(item);
    this.lines.set(item.caller, line);
    this.count++;
    this.waitingBytes += item.bytes;
    return null;
  }

  /** Why {@link push} would refuse such work now; `null` where it would take it. */
  refusalOf({ caller, bytes }: Waiting, places = Infinity): Refusal | null {
    const waiting = this.lines.get(caller)?.length ?? 0;
    const callers = this.callersWith(caller);
    if (waiting >= places) return waiting > 0 && callers > 1 ? 'caller' : 'full';
    const isOverShare = waiting > 0 && waiting >= Math.ceil(this.maxCount / (callers + 1));
    if (isOverShare && caller !== '') return 'caller';
    return this.count >= this.maxCount || this.waitingBytes + bytes > this.maxBytes ? 'full' : null;
  }

  /** Puts work back that had its turn already: it is next, and no limit applies to it. */
  unshift(item: T): void {
    const line = this.lines.get(item.caller) ?? [];
    this.lines.delete(item.caller);
    const others = [...this.lines];
    this.lines.clear();
    this.lines.set(item.caller, [item, ...line]);
    for (const [caller, rest] of others) this.lines.set(caller, rest);
    this.count++;
    this.waitingBytes += item.bytes;
  }

  /**
   * The next in turn; its caller then waits until all others had theirs.
   *
   * @param canTake - false for work that must keep its place.
   */
  shift(canTake: (item: T) => boolean = () => true): T | undefined {
    for (const [caller, line] of this.lines) {
      const at = line.findIndex(canTake);
      if (at < 0) continue;
      const [item] = line.splice(at, 1);
      this.lines.delete(caller);
      if (line.length > 0) this.lines.set(caller, line);
      this.forget(item);
      return item;
    }
    return undefined;
  }

  /** Removes work before its turn; false where it does not wait. */
  remove(item: T): boolean {
    const line = this.lines.get(item.caller);
    const at = line?.indexOf(item) ?? -1;
    if (line == null || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(item.caller);
    this.forget(item);
    return true;
  }

  /** Removes all work. */
  clear(): T[] {
    const all = [...this.lines.values()].flat();
    this.lines.clear();
    this.count = 0;
    this.waitingBytes = 0;
    return all;
  }

  private forget(item: T): void {
    this.count--;
    this.waitingBytes -= item.bytes;
  }
}
