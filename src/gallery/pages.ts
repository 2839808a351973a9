import { galleryErrors } from './gallery-errors';
import type { Page, PageRequest, Reference, StoredReference } from './gallery.types';

/** Bytes of JSON after which a page ends: metadata can make a thousand items as large as 35 MB. */
export const MAX_PAGE_BYTES = 1024 ** 2;

/** Room of one page: so many items, and their bytes as JSON. The first item always has room. */
export class PageRoom {
  private count = 0;
  private bytes = 0;

  /** @param limit - most items, 1 or more. */
  constructor(private readonly limit: number) {}

  /** Whether there is room for one more item. Where there is none, the page ends before it. */
  take(item: object): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(item));
    const hasRoom = this.count < this.limit && this.bytes + bytes <= MAX_PAGE_BYTES;
    if (this.count > 0 && !hasRoom) return false;
    this.count++;
    this.bytes += bytes;
    return true;
  }
}

/** Of a page of references: when the last one was enrolled, and its id. */
const REFERENCE_CURSOR = /^(\d{1,16})\.(.+)$/s;

/**
 * A page of the references of a subject, the first enrolled first, without embeddings. Paging to the end meets each that
 * stays. It meets some twice only where the last one of a page is gone when the next page is asked for, and others were
 * enrolled in the same millisecond.
 *
 * @param references - all of the subject, in the order in which they were added.
 * @throws {FaceError} PARAMETER_INVALID where `after` is no cursor of a page.
 */
export function pageOfReferences(
  references: readonly StoredReference[],
  { limit, after }: PageRequest,
): Page<Reference> {
  // Of a merged subject, the references that came from the other one were added last.
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
