/** Something that waits, for whom, and how many bytes it holds meanwhile. */
export interface Waiting {
  caller: string;
  bytes: number;
}

/** Why a {@link FairQueue} takes no more. */
export type Refusal = 'caller' | 'full';

/**
 * A bounded queue that serves callers in turn, each one's own work in the order it came.
 *
 * One caller with a thousand images waits for itself, not the others for it. A caller may hold its share of the queue
 * only: the places divided by the callers that wait, one place for a newcomer counted in. Work without a caller (`''`)
 * knows no share.
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

  /** Bytes that all that waits holds. */
  get bytes(): number {
    return this.waitingBytes;
  }

  /** Callers that wait once `caller` does. */
  callersWith(caller: string): number {
    return this.lines.size + (this.lines.has(caller) ? 0 : 1);
  }

  /**
   * Takes work in, or says why not: `caller` where this caller is over its share, `full` where all is full.
   *
   * @param places - work of this caller that may wait, where that is less than its share of the queue.
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

  /** Why {@link push} would not take such work now; `null` where it would. */
  refusalOf({ caller, bytes }: Waiting, places = Infinity): Refusal | null {
    const waiting = this.lines.get(caller)?.length ?? 0;
    const callers = this.callersWith(caller);
    if (waiting >= places) return waiting > 0 && callers > 1 ? 'caller' : 'full';
    const isOverShare = waiting > 0 && waiting >= Math.ceil(this.maxCount / (callers + 1));
    if (isOverShare && caller !== '') return 'caller';
    return this.count >= this.maxCount || this.waitingBytes + bytes > this.maxBytes ? 'full' : null;
  }

  /** Puts work back that had its turn already: it is next, and over no limit. */
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
   * @param canTake - passes over work that this taker cannot do; it keeps its place.
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

  /** Takes work out before its turn; false where it is not waiting. */
  remove(item: T): boolean {
    const line = this.lines.get(item.caller);
    const at = line?.indexOf(item) ?? -1;
    if (line == null || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(item.caller);
    this.forget(item);
    return true;
  }

  /** Takes everything out. */
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
