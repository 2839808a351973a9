import { galleryErrors } from '../../gallery-errors';
import type { Page, PageRequest } from '../../gallery.types';
import { PageRoom } from '../../pages';
import { Turns } from '../../../turns';

const CHUNK_LENGTH = 512;
const ITEMS_PER_LOOK_AT_THE_CLOCK = 256;

interface Chunk<T> {
  /** Ascending. */
  uids: number[];
  items: T[];
  /** A snapshot shares these arrays, so they are copied before the next change (copy on write). */
  isShared: boolean;
}

/**
 * Items ordered by uid, which is the order of creation. The cost of a page depends on its length only, not on its start. The
 * cursor is a uid, so it survives removals and a restart. A change touches one chunk, whatever the length of the list.
 */
export class PagedList<T> {
  private readonly chunks: Chunk<T>[] = [];

  get(uid: number): T | undefined {
    const chunk = this.chunks[this.chunkAt(uid)];
    const at = chunk ? lowerBound(chunk.uids, uid) : 0;
    return chunk?.uids[at] === uid ? chunk.items[at] : undefined;
  }

  /** Adds an item, or replaces the one with the same uid. */
  set(uid: number, item: T): void {
    const index = this.chunkAt(uid);
    const chunk = this.own(index) ?? { uids: [], items: [], isShared: false };
    if (index === this.chunks.length) this.chunks.push(chunk);
    const at = lowerBound(chunk.uids, uid);
    if (chunk.uids[at] === uid) {
      chunk.items[at] = item;
      return;
    }
    chunk.uids.splice(at, 0, uid);
    chunk.items.splice(at, 0, item);
    if (chunk.uids.length <= CHUNK_LENGTH) return;
    // An append moves only the new item to the next chunk, so that full chunks stay full; other inserts split in half.
    const from = at === CHUNK_LENGTH ? at : CHUNK_LENGTH / 2;
    const rest = { uids: chunk.uids.splice(from), items: chunk.items.splice(from), isShared: false };
    this.chunks.splice(index + 1, 0, rest);
  }

  delete(uid: number): void {
    const index = this.chunkAt(uid);
    const chunk = this.own(index);
    const at = chunk ? lowerBound(chunk.uids, uid) : 0;
    if (chunk?.uids[at] !== uid) return;
    chunk.uids.splice(at, 1);
    chunk.items.splice(at, 1);
    if (chunk.uids.length === 0) this.chunks.splice(index, 1);
  }

  /** Snapshot of all items. */
  snapshot(): Iterable<T> {
    const lists = this.chunks.map((chunk) => {
      chunk.isShared = true;
      return chunk.items;
    });
    return (function* () {
      for (const items of lists) yield* items;
    })();
  }

  /**
   * @throws {FaceError} PARAMETER_INVALID if `after` is not the cursor of a page.
   */
  async page<R extends object>({ limit, after }: PageRequest, toItem: (item: T) => R): Promise<Page<R>> {
    let last = uidOfCursor(after);
    const turns = new Turns();
    const page: R[] = [];
    const room = new PageRoom(limit);
    for (let looks = 1, next = this.following(last); next; next = this.following(next.uid, next)) {
      if (looks++ % ITEMS_PER_LOOK_AT_THE_CLOCK === 0) {
        await turns.next();
        // Much may have changed meanwhile.
        next = this.following(next.uid - 1);
        if (!next) break;
      }
      const item = toItem(next.item);
      if (!room.take(item)) return { items: page, next: String(last) };
      page.push(item);
      last = next.uid;
    }
    return { items: page, next: null };
  }

  /**
   * The first item after a uid.
   *
   * @param from - position of that uid, if the list has not changed since.
   */
  private following(uid: number, from?: Position<T>): Position<T> | undefined {
    let { index, at } = from ?? { index: this.chunkAt(uid), at: -1 };
    if (from) at++;
    else if (this.chunks[index]) at = lowerBound(this.chunks[index].uids, uid + 1);
    if (at >= (this.chunks[index]?.uids.length ?? 0)) [index, at] = [index + 1, 0];
    const chunk = this.chunks[index];
    return chunk && { index, at, uid: chunk.uids[at], item: chunk.items[at] };
  }

  /** Index of the chunk that holds a uid, or would hold it. */
  private chunkAt(uid: number): number {
    const last = this.chunks.length - 1;
    if (last < 0 || uid >= this.chunks[last].uids[0]) return Math.max(0, last);
    let [low, high] = [0, last];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.chunks[middle].uids[0] <= uid) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private own(index: number): Chunk<T> | undefined {
    const chunk = this.chunks[index] as Chunk<T> | undefined;
    if (chunk?.isShared)
      Object.assign(chunk, { uids: [...chunk.uids], items: [...chunk.items], isShared: false });
    return chunk;
  }
}

/**
 * Parses a cursor into the uid after which the page begins.
 *
 * @throws {FaceError} PARAMETER_INVALID if it is not the cursor of a page.
 */
export function uidOfCursor(after: string | undefined): number {
  if (after === undefined) return -1;
  if (!/^\d+$/.test(after)) throw galleryErrors.cursorInvalid();
  return Number(after);
}

interface Position<T> {
  index: number;
  at: number;
  uid: number;
  item: T;
}

/** Position of the first element that is not below `uid`. */
function lowerBound(uids: readonly number[], uid: number): number {
  let [low, high] = [0, uids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (uids[middle] < uid) low = middle + 1;
    else high = middle;
  }
  return low;
}
