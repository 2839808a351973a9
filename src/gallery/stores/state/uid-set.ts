/** Uids per window: uids with the same quotient are processed together. */
export const WINDOW = 2 ** 16;
export const WINDOW_WORDS = WINDOW / 32;

/** Lists shorter than this have no spare capacity. */
const SHORT = 16;
/** Maximum uids in one list, without windows. */
const FEW = 4096;
/** Maximum list length in a window: a list of this length is as large as a bitmap. */
const MOST_LISTED = 4096;
/** A bitmap becomes a list again below this size: well below the maximum list, so that sets rarely convert back and forth. */
const LEAST_BITS = 1024;

/**
 * One or more uids: the uid itself, a sorted list, or lists and bitmaps per window as in Roaring bitmaps (D. Lemire et al.,
 * 2018). A million values with one subject each cost nothing; one value with a million subjects costs 2 bits per subject.
 */
export type UidSet = number | number[] | ManyUids;

/** @param set - modified in place: use only the result. */
export function withUid(set: UidSet | undefined, uid: number): UidSet {
  if (set === undefined || set === uid) return uid;
  if (typeof set === 'number') return set < uid ? [set, uid] : [uid, set];
  if (set instanceof ManyUids) {
    set.add(uid);
    return set;
  }
  const at = lowerBound(set, set.length, uid);
  if (set[at] === uid) return set;
  // `push` would reserve room for about twenty.
  if (set.length < SHORT) return set.toSpliced(at, 0, uid);
  if (at === set.length) set.push(uid);
  else set.splice(at, 0, uid);
  return set.length > FEW ? new ManyUids(set) : set;
}

/**
 * @param set - modified in place: use only the result.
 * @returns undefined if no uid is left.
 */
export function withoutUid(set: UidSet, uid: number): UidSet | undefined {
  if (typeof set === 'number') return set === uid ? undefined : set;
  if (set instanceof ManyUids) {
    set.remove(uid);
    return set.size === 0 ? undefined : set;
  }
  const at = lowerBound(set, set.length, uid);
  if (set[at] === uid) set.splice(at, 1);
  return set.length === 1 ? set[0] : set;
}

/**
 * Sets the bits of the uids of a window.
 *
 * @param bits - Uint32Array [{@link WINDOW_WORDS}]
 * @returns whether the window contains any.
 */
export function markUids(set: UidSet, window: number, bits: Uint32Array): boolean {
  if (set instanceof ManyUids) return set.mark(window, bits);
  if (typeof set === 'number') {
    if (Math.floor(set / WINDOW) !== window) return false;
    markLow(set & (WINDOW - 1), bits);
    return true;
  }
  const first = lowerBound(set, set.length, window * WINDOW);
  const end = (window + 1) * WINDOW;
  let at = first;
  for (; at < set.length && set[at] < end; at++) markLow(set[at] & (WINDOW - 1), bits);
  return at > first;
}

/** Position of the first number that is not below `value`, among the first `length` numbers, which are sorted. */
export function lowerBound(numbers: ArrayLike<number>, length: number, value: number): number {
  // Fast path: new uids come last.
  if (length > 0 && numbers[length - 1] < value) return length;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

class ManyUids {
  size = 0;
  private readonly windows = new Map<number, LowBits>();

  constructor(uids: readonly number[]) {
    for (const uid of uids) this.add(uid);
  }

  add(uid: number): void {
    const window = Math.floor(uid / WINDOW);
    let lows = this.windows.get(window);
    if (!lows) this.windows.set(window, (lows = new LowBits()));
    if (lows.add(uid & (WINDOW - 1))) this.size++;
  }

  remove(uid: number): void {
    const window = Math.floor(uid / WINDOW);
    const lows = this.windows.get(window);
    if (!lows?.remove(uid & (WINDOW - 1))) return;
    this.size--;
    if (lows.size === 0) this.windows.delete(window);
  }

  mark(window: number, bits: Uint32Array): boolean {
    const lows = this.windows.get(window);
    lows?.mark(bits);
    return lows !== undefined;
  }
}

/** Set of 16-bit numbers. */
class LowBits {
  size = 0;
  /** Sorted; undefined if the set is a bitmap. */
  private list?: Uint16Array = new Uint16Array(16);
  private bits?: Uint32Array;

  /** @returns whether it was added. */
  add(low: number): boolean {
    if (this.list && this.size === MOST_LISTED) this.toBits();
    if (this.bits) {
      const before = this.bits[low >>> 5];
      this.bits[low >>> 5] |= 1 << (low & 31);
      if (this.bits[low >>> 5] === before) return false;
    } else {
      let list = this.list!;
      const at = lowerBound(list, this.size, low);
      if (at < this.size && list[at] === low) return false;
      if (this.size === list.length) {
        list = new Uint16Array(2 * this.size);
        list.set(this.list!);
        this.list = list;
      }
      list.copyWithin(at + 1, at, this.size);
      list[at] = low;
    }
    this.size++;
    return true;
  }

  /** @returns whether it was removed. */
  remove(low: number): boolean {
    if (this.bits) {
      const before = this.bits[low >>> 5];
      this.bits[low >>> 5] &= ~(1 << (low & 31));
      if (this.bits[low >>> 5] === before) return false;
      this.size--;
      if (this.size < LEAST_BITS) this.toList();
    } else {
      const at = lowerBound(this.list!, this.size, low);
      if (at === this.size || this.list![at] !== low) return false;
      this.list!.copyWithin(at, at + 1, this.size);
      this.size--;
    }
    return true;
  }

  mark(bits: Uint32Array): void {
    if (this.bits) for (let i = 0; i < bits.length; i++) bits[i] |= this.bits[i];
    else for (let i = 0; i < this.size; i++) markLow(this.list![i], bits);
  }

  private toBits(): void {
    const bits = new Uint32Array(WINDOW_WORDS);
    this.mark(bits);
    this.bits = bits;
    this.list = undefined;
  }

  private toList(): void {
    const list = new Uint16Array(2 * LEAST_BITS);
    let at = 0;
    for (let low = 0; low < WINDOW; low++) if (bitOf(low, this.bits!) === 1) list[at++] = low;
    this.list = list;
    this.bits = undefined;
  }
}

/** @returns 1 if the bit of `low` is set, otherwise 0. */
export function bitOf(low: number, bits: Uint32Array): number {
  return (bits[low >>> 5] >>> (low & 31)) & 1;
}

function markLow(low: number, bits: Uint32Array): void {
  bits[low >>> 5] |= 1 << (low & 31);
}
