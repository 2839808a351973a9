import { galleryErrors } from '../../gallery-errors';
import type { Page, PageRequest } from '../../gallery.types';
import { PageRoom } from '../../pages';
import { Turns } from '../../turns';

const CHUNK_LENGTH = 512;
const ITEMS_PER_LOOK_AT_THE_CLOCK = 256;

interface Chunk<T> {
  /** Ascending. */
  uids: number[];
  items: T[];
  /** A snapshot has these lists: they are copied before they change. */
  isShared: boolean;
}

/**
 * Items in the order of their uids, which is that of their making. A page costs its length, wherever it begins: the cursor
 * is a uid, and stays good when items go, and over a restart. No change costs more than a chunk, however long the list is.
 */
export class PagedList<T> {
  private readonly chunks: Chunk<T>[] = [];

  get(uid: number): T | undefined {
    const chunk = this.chunks[this.chunkAt(uid)];
    const at = chunk ? lowerBound(chunk.uids, uid) : 0;
    return chunk?.uids[at] === uid ? chunk.items[at] : undefined;
  }

  /** Adds an item, or puts it in the place of the one with its uid. */
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
    // Mostly the last one, to which the next items come: it stays full, and those go into another.
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

  /** All, as they are now. */
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
   * @throws {FaceError} PARAMETER_INVALID where `after` is no cursor of a page.
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
   * @param from - where that one is, if nothing changed since.
   */
  private following(uid: number, from?: Position<T>): Position<T> | undefined {
    let { index, at } = from ?? { index: this.chunkAt(uid), at: -1 };
    if (from) at++;
    else if (this.chunks[index]) at = lowerBound(this.chunks[index].uids, uid + 1);
    if (at >= (this.chunks[index]?.uids.length ?? 0)) [index, at] = [index + 1, 0];
    const chunk = this.chunks[index];
    return chunk && { index, at, uid: chunk.uids[at], item: chunk.items[at] };
  }

  /** Where the chunk is that has a uid, or to which it would come. */
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
 * The uid after which a page begins.
 *
 * @throws {FaceError} PARAMETER_INVALID where it is no cursor of a page.
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

/** Where the first uid is that is not below `uid`. */
function lowerBound(uids: readonly number[], uid: number): number {
  let [low, high] = [0, uids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (uids[middle] < uid) low = middle + 1;
    else high = middle;
  }
  return low;
}
