import type { Metadata, MetadataFilter } from '../../gallery.types';
import { PageRoom } from '../../pages';
import { Turns } from '../../../turns';
import { SplitMap } from './split-map';
import {
  type UidSet,
  WINDOW,
  WINDOW_WORDS,
  bitOf,
  lowerBound,
  markUids,
  withUid,
  withoutUid,
} from './uid-set';

type Value = Metadata[string];

/** Items of a page between two checks of the clock. */
const ITEMS_PER_STEP = 1024;

/** Scratch bitmaps: uids of a window that pass the filter, and that pass one key. Not valid beyond one turn of the event loop. */
const passing = new Uint32Array(WINDOW_WORDS);
const passingKey = new Uint32Array(WINDOW_WORDS);

/**
 * Inverted index from metadata to the subjects of a gallery, ordered by uid, which is the order of creation.
 *
 * Uids are processed in windows of 65,536. Reads span several turns of the event loop, with less than a millisecond of work per
 * window; the index may change in between, and a subject is read in its state when its window is processed.
 */
export class MetadataIndex {
  private readonly keys = new SplitMap<string, SplitMap<Value, UidSet>>();
  /** Ordered by id; none is empty. */
  private readonly windows: SubjectWindow[] = [];
  /** One above the largest subject number so far. */
  private bound = 0;
  /** Masks in progress. */
  private readonly masks: Uint32Array[] = [];
  private size = 0;

  /** Number of subjects. */
  get count(): number {
    return this.size;
  }

  /**
   * Adds a subject.
   *
   * @param uid - integer. Fast if it is the highest so far.
   * @param number - integer of 32 bits, dense from 0, used by no other subject.
   * @throws {RangeError} for a uid already in the index: a mistake of the caller, nothing else can fail.
   */
  add(uid: number, number: number, metadata: Metadata): void {
    const id = Math.floor(uid / WINDOW);
    const at = this.windowFrom(id);
    if (this.windows[at]?.id === id && this.windows[at].has(uid & (WINDOW - 1)))
      throw new RangeError(`Subject ${uid} is in the index already.`);
    if (this.windows[at]?.id !== id) this.windows.splice(at, 0, new SubjectWindow(id));
    this.windows[at].add(uid & (WINDOW - 1), number);
    this.bound = Math.max(this.bound, number + 1);
    this.size++;
    for (const [key, value] of Object.entries(metadata)) this.addValue(key, value, uid);
  }

  /** Replaces the metadata of a subject. `before` must be its indexed metadata. */
  update(uid: number, before: Metadata, after: Metadata): void {
    for (const [key, value] of Object.entries(before))
      if (!Object.hasOwn(after, key) || after[key] !== value) this.removeValue(key, value, uid);
    for (const [key, value] of Object.entries(after))
      if (!Object.hasOwn(before, key) || before[key] !== value) this.addValue(key, value, uid);
  }

  /**
   * Removes a subject. Its number may be reused.
   *
   * @param metadata - its indexed metadata.
   * @throws {RangeError} for a uid that is not in the index: a mistake of the caller, nothing else can fail.
   */
  remove(uid: number, metadata: Metadata): void {
    const id = Math.floor(uid / WINDOW);
    const at = this.windowFrom(id);
    if (this.windows[at]?.id !== id || !this.windows[at].has(uid & (WINDOW - 1)))
      throw new RangeError(`Subject ${uid} is not in the index.`);
    const number = this.windows[at].remove(uid & (WINDOW - 1));
    for (const [key, value] of Object.entries(metadata)) this.removeValue(key, value, uid);
    if (this.windows[at].size === 0) this.windows.splice(at, 1);
    this.size--;
    for (const mask of this.masks) mask[number >>> 5] &= ~(1 << (number & 31));
  }

  /**
   * Computes which subjects pass a filter.
   *
   * Subjects added meanwhile may be missing. Once the promise has settled, the mask no longer follows changes: the caller must
   * handle numbers that pass from one subject to another.
   *
   * @returns a bit per subject number, the lowest bit of a word first: 1 if the subject passes.
   */
  async mask(filter: MetadataFilter): Promise<Uint32Array> {
    const groups = groupsOf(filter);
    // Shared: a scan would copy it for each thread.
    const mask = new Uint32Array(new SharedArrayBuffer(4 * Math.ceil(this.bound / 32)));
    const turns = new Turns();
    this.masks.push(mask);
    try {
      for (let id = -1; ; await turns.next()) {
        const window = this.windows[this.windowFrom(id + 1)];
        if (!window) return mask;
        if (this.evaluate(groups, window.id)) window.copyTo(mask);
        ({ id } = window);
      }
    } finally {
      this.masks.splice(this.masks.indexOf(mask), 1);
    }
  }

  /**
   * Lists the subjects that pass a filter, ordered by uid. Pages chained by `next` contain each subject that exists and passes
   * throughout exactly once.
   *
   * @param page - after: the uid after which the page begins, or -1; limit: 1 or more.
   * @param toItem - called with the number of a subject when its turn comes.
   * @returns next: the uid of the last item if more follow, or null.
   */
  async page<R extends object>(
    filter: MetadataFilter | undefined,
    { after, limit }: { after: number; limit: number },
    toItem: (number: number) => R,
  ): Promise<{ items: R[]; next: number | null }> {
    const groups = groupsOf(filter ?? {});
    const items: R[] = [];
    const room = new PageRoom(limit);
    const turns = new Turns();
    let last = after;
    for (let from = after + 1; ; await turns.next()) {
      const window = this.windows[this.windowFrom(Math.floor(from / WINDOW))];
      if (!window) return { items, next: null };
      const begin = window.id * WINDOW;
      if (this.evaluate(groups, window.id)) {
        // One more than the page holds, to know whether a next page exists.
        const wanted = Math.min(limit + 1 - items.length, ITEMS_PER_STEP);
        const found = window.passingFrom(Math.max(0, from - begin), wanted);
        for (const { low, number } of found) {
          const item = toItem(number);
          if (!room.take(item)) return { items, next: last };
          items.push(item);
          last = begin + low;
        }
        if (found.length === wanted) {
          from = last + 1;
          continue;
        }
      }
      from = begin + WINDOW;
    }
  }

  private addValue(key: string, value: Value, uid: number): void {
    let values = this.keys.get(key);
    if (!values) this.keys.set(key, (values = new SplitMap()));
    const before = values.get(value);
    const after = withUid(before, uid);
    if (after !== before) values.set(value, after);
  }

  private removeValue(key: string, value: Value, uid: number): void {
    const values = this.keys.get(key);
    const before = values?.get(value);
    if (!values || before === undefined) return;
    const after = withoutUid(before, uid);
    if (after === undefined) values.delete(value);
    else if (after !== before) values.set(value, after);
    if (values.size === 0) this.keys.delete(key);
  }

  /**
   * Sets the bits of {@link passing} for the uids of a window that pass.
   *
   * @returns false if none pass; true if some may.
   */
  private evaluate(groups: readonly Group[], window: number): boolean {
    if (groups.length === 0) passing.fill(-1);
    return groups.every(({ key, wanted }, i) => {
      const bits = i === 0 ? passing : passingKey;
      bits.fill(0);
      const values = this.keys.get(key);
      let isAny = false;
      for (const value of values ? wanted : []) {
        const uids = values!.get(value);
        if (uids !== undefined && markUids(uids, window, bits)) isAny = true;
      }
      if (i > 0) for (let at = 0; at < WINDOW_WORDS; at++) passing[at] &= passingKey[at];
      return isAny;
    });
  }

  /** Position of the first window with at least this id. */
  private windowFrom(id: number): number {
    const { windows } = this;
    // Fast path: new uids come last.
    if (windows.length > 0 && windows[windows.length - 1].id < id) return windows.length;
    let low = 0;
    let high = windows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (windows[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Group {
  key: string;
  /** Accepted values: one must match. */
  wanted: readonly Value[];
}

function groupsOf(filter: MetadataFilter): Group[] {
  return Object.entries(filter).map(([key, wanted]) => ({
    key,
    wanted: Array.isArray(wanted) ? (wanted as readonly Value[]) : [wanted as Value],
  }));
}

/** The subjects whose uids are in one window. */
class SubjectWindow {
  size = 0;
  /** Sorted low 16 bits of their uids, parallel to their numbers. */
  private lows = new Uint16Array(4);
  private numbers = new Uint32Array(4);

  constructor(readonly id: number) {}

  has(low: number): boolean {
    const at = lowerBound(this.lows, this.size, low);
    return at < this.size && this.lows[at] === low;
  }

  add(low: number, number: number): void {
    const at = lowerBound(this.lows, this.size, low);
    if (this.size === this.lows.length) {
      const [lows, numbers] = [new Uint16Array(2 * this.size), new Uint32Array(2 * this.size)];
      lows.set(this.lows);
      numbers.set(this.numbers);
      [this.lows, this.numbers] = [lows, numbers];
    }
    this.lows.copyWithin(at + 1, at, this.size);
    this.numbers.copyWithin(at + 1, at, this.size);
    this.lows[at] = low;
    this.numbers[at] = number;
    this.size++;
  }

  /** @returns the number of the removed subject. */
  remove(low: number): number {
    const at = lowerBound(this.lows, this.size, low);
    const number = this.numbers[at];
    this.lows.copyWithin(at, at + 1, this.size);
    this.numbers.copyWithin(at, at + 1, this.size);
    this.size--;
    return number;
  }

  /** Sets the bits of the mask for subjects that pass, and clears those of the others. */
  copyTo(mask: Uint32Array): void {
    const { lows, numbers, size } = this;
    // Branch-free: the branch would mostly be mispredicted.
    for (let i = 0; i < size; i++) {
      const number = numbers[i];
      const bit = 1 << (number & 31);
      mask[number >>> 5] = (mask[number >>> 5] & ~bit) | (-bitOf(lows[i], passing) & bit);
    }
  }

  /** Subjects that pass, from a uid on; at most `most`. */
  passingFrom(low: number, most: number): { low: number; number: number }[] {
    const { lows, numbers, size } = this;
    const found: { low: number; number: number }[] = [];
    for (let i = lowerBound(lows, size, low); i < size && found.length < most; i++)
      if (bitOf(lows[i], passing) === 1) found.push({ low: lows[i], number: numbers[i] });
    return found;
  }
}
