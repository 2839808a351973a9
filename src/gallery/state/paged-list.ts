import { galleryErrors } from '../gallery-errors';
import type { Page, PageRequest } from '../gallery.types';
import { Turns } from '../turns';

const ITEMS_PER_LOOK_AT_THE_CLOCK = 256;

/**
 * Items in the order of their uids, which is that of their making. A page costs its length, wherever it begins: the cursor
 * is a uid, and stays good when items go, and over a restart.
 */
export class PagedList<T> {
  /** The same uids as those of `items`, also of those that are gone. */
  private uids: number[] = [];
  private items: (T | undefined)[] = [];
  private goneCount = 0;

  get(uid: number): T | undefined {
    const at = this.lowerBound(uid);
    return this.uids[at] === uid ? this.items[at] : undefined;
  }

  /** Adds an item, or puts it in the place of the one with its uid. */
  set(uid: number, item: T): void {
    const last = this.uids.length - 1;
    if (last < 0 || uid > this.uids[last]) {
      this.uids.push(uid);
      this.items.push(item);
      return;
    }
    const at = this.lowerBound(uid);
    if (this.uids[at] === uid) {
      if (this.items[at] === undefined) this.goneCount--;
      this.items[at] = item;
    } else {
      this.uids.splice(at, 0, uid);
      this.items.splice(at, 0, item);
    }
  }

  delete(uid: number): void {
    const at = this.lowerBound(uid);
    if (this.uids[at] !== uid || this.items[at] === undefined) return;
    this.items[at] = undefined;
    this.goneCount++;
    if (this.goneCount * 2 > this.items.length) this.compact();
  }

  /** All, as they are now. */
  toArray(): T[] {
    return this.items.filter((item) => item !== undefined);
  }

  /**
   * With `passes` a page may look at all items: it does in several turns of the event loop, and meets each as it is then.
   *
   * @throws {FaceError} PARAMETER_INVALID where `after` is no cursor of a page.
   */
  async page<R>(
    { limit, after }: PageRequest,
    toItem: (item: T) => R,
    passes?: (item: T) => boolean,
  ): Promise<Page<R>> {
    if (after !== undefined && !/^\d+$/.test(after)) throw galleryErrors.cursorInvalid();
    const turns = new Turns();
    const page: R[] = [];
    let last = -1;
    let at = after === undefined ? 0 : this.lowerBound(Number(after) + 1);
    for (let looks = 1; at < this.items.length; at++, looks++) {
      if (looks % ITEMS_PER_LOOK_AT_THE_CLOCK === 0) {
        const uid = this.uids[at];
        // Items may have gone meanwhile, and the list with them moved up.
        if (await turns.next()) at = this.lowerBound(uid);
      }
      const item = this.items[at];
      if (item === undefined || (passes && !passes(item))) continue;
      if (page.length === limit) return { items: page, next: String(last) };
      page.push(toItem(item));
      last = this.uids[at];
    }
    return { items: page, next: null };
  }

  /** Where the first uid is that is not below `uid`. */
  private lowerBound(uid: number): number {
    let low = 0;
    let high = this.uids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.uids[middle] < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private compact(): void {
    this.uids = this.uids.filter((_, at) => this.items[at] !== undefined);
    this.items = this.toArray();
    this.goneCount = 0;
  }
}
