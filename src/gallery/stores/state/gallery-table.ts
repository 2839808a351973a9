import { PagedList } from './paged-list';
import type { Reservations } from './draft';
import type { Replacement } from './entries';
import type { GalleryEntry } from './gallery-entry';
import { addBytes, type Bytes, Room } from './room';
import { bytesOfGallery } from './weigh';

/** The galleries of a store, and what they and the changes that are being made take. */
export class GalleryTable {
  readonly byId = new Map<string, GalleryEntry>();
  /** In the order of their uids. */
  readonly list = new PagedList<GalleryEntry>();
  readonly reserved: Reservations;
  /** With galleries that are being made, without those that are being deleted. */
  count = 0;

  /** @param maxBytes - that all galleries may take. */
  constructor(maxBytes: Bytes) {
    this.reserved = { names: new Set(), room: new Room(maxBytes) };
  }

  /** Takes what a change needs; with -1 gives it back. */
  reserve({ before, after }: Replacement<GalleryEntry>, sign: 1 | -1): void {
    const [added, removed] = [Number(after !== undefined), Number(before !== undefined)];
    this.count += sign * (added - removed);
    if (after) this.reserved.room.take(bytesOfAll(after), sign);
    if (before) this.reserved.room.take(bytesOfAll(before), sign === 1 ? -1 : 1);
  }

  /** Makes a change that was reserved. */
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

  /** Settles when no search looks at the galleries any more. */
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
