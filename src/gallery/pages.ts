import { galleryErrors } from './gallery-errors';
import type { Page, PageRequest, Reference, StoredReference } from './gallery.types';

/** Maximum size of a page as JSON: with metadata, a thousand items can take 35 MB. */
export const MAX_PAGE_BYTES = 1024 ** 2;

/** Limits of one page: number of items, and their bytes as JSON. The first item always fits. */
export class PageRoom {
  private count = 0;
  private bytes = 0;

  /** @param limit - maximum number of items, 1 or more. */
  constructor(private readonly limit: number) {}

  /** @returns whether the item fits; if not, the page ends before it. */
  take(item: object): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(item));
    const hasRoom = this.count < this.limit && this.bytes + bytes <= MAX_PAGE_BYTES;
    if (this.count > 0 && !hasRoom) return false;
    this.count++;
    this.bytes += bytes;
    return true;
  }
}

/** Cursor of a page of references: creation time and id of the last one. */
const REFERENCE_CURSOR = /^(\d{1,16})\.(.+)$/s;

/**
 * A page of the references of a subject, oldest first, without embeddings. Paging to the end returns every reference that is
 * not deleted meanwhile. It repeats some only if the last one of a page was deleted before the next page was requested, and
 * others have the same creation time.
 *
 * @param references - all references of the subject, in the order of addition.
 * @throws {FaceError} PARAMETER_INVALID if `after` is not a cursor of a page.
 */
export function pageOfReferences(
  references: readonly StoredReference[],
  { limit, after }: PageRequest,
): Page<Reference> {
  // After a merge, the references of the other subject come last, whatever their creation time.
  const sorted = [...references].sort((a, b) => a.createdAt - b.createdAt);
  const room = new PageRoom(limit);
  const items: Reference[] = [];
  for (const { embedding: _embedding, ...reference } of sorted.slice(startAfter(sorted, after))) {
    const last = items.at(-1);
    if (!room.take(reference)) return { items, next: `${last!.createdAt}.${last!.id}` };
    items.push(reference);
  }
  return { items, next: null };
}

function startAfter(sorted: readonly StoredReference[], cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  const [, createdAt, id] = REFERENCE_CURSOR.exec(cursor) ?? [];
  if (id === undefined) throw galleryErrors.cursorInvalid();
  const at = sorted.findIndex((reference) => reference.id === id);
  if (at >= 0) return at + 1;
  const next = sorted.findIndex((reference) => reference.createdAt >= Number(createdAt));
  return next < 0 ? sorted.length : next;
}
