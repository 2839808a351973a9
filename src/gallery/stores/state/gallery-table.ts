import { PagedList } from './paged-list';
import type { Reservations } from './draft';
import type { Replacement } from './entries';
import type { GalleryEntry } from './gallery-entry';
import { addBytes, type Bytes, Room } from './room';
import { bytesOfGallery } from './weigh';

/** The galleries of a store, with the memory and names that they and changes in progress reserve. */
export class GalleryTable {
  readonly byId = new Map<string, GalleryEntry>();
  /** Ordered by uid. */
  readonly list = new PagedList<GalleryEntry>();
  readonly reserved: Reservations;
  /** Includes galleries being created, excludes galleries being deleted. */
  count = 0;

  /** @param maxBytes - memory limit of all galleries. */
  constructor(maxBytes: Bytes) {
    this.reserved = { names: new Set(), room: new Room(maxBytes) };
  }

  /** Reserves what a change needs; -1 gives it back. */
  reserve({ before, after }: Replacement<GalleryEntry>, sign: 1 | -1): void {
    const [added, removed] = [Number(after !== undefined), Number(before !== undefined)];
    this.count += sign * (added - removed);
    if (after) this.reserved.room.take(bytesOfAll(after), sign);
    if (before) this.reserved.room.take(bytesOfAll(before), sign === 1 ? -1 : 1);
  }

  /** Applies a reserved change. */
  replace({ before, after }: Replacement<GalleryEntry>): void {
    if (after) {
      if (before && before.id !== after.id) this.byId.delete(before.id);
      after.state.id = after.id;
      this.byId.set(after.id, after);
      this.list.set(after.uid, after);
    } else if (before) {
      this.byId.delete(before.id);
      this.list.delete(before.uid);
    }
  }

  /** Closes all galleries; settles when no search reads them any more. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.byId.values(), ({ state }) => state.close()));
  }
}

function bytesOfAll(gallery: GalleryEntry): Bytes {
  const own = bytesOfGallery(gallery);
  const sum = { all: own, heap: own };
  addBytes(sum, gallery.state.planned.bytes, 1);
  return sum;
}
