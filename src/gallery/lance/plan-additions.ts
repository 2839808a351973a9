import type { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import { MAX_SAME_IMAGE } from '../gallery-rules';
import type { AddedReference, NewReference, ReferenceKey } from '../gallery.types';
import { newReferenceRow, newSubjectRow, toReference, type FaceRow, type GalleryRow } from './lance-rows';

/** What is there of what references that are to be added have to do with. */
export interface KnownRows {
  /** Those with their ids, subjects or images, once each, in the order in which they were added. */
  rows: readonly FaceRow[];
  /** References in the gallery. */
  referenceCount: number;
}

/** What becomes of references that are to be added, one after the other, and the rows that this takes. */
export function planAdditions(
  gallery: GalleryRow,
  known: KnownRows,
  references: readonly NewReference[],
  now: number,
  nextPosition: () => number,
): { outcomes: (AddedReference | FaceError)[]; added: FaceRow[] } {
  const added: FaceRow[] = [];
  const subjects = new Map<string, { labels: readonly string[]; references: FaceRow[] }>();
  const byId = new Map<string, FaceRow>();
  const byImage = new Map<string, FaceRow[]>();
  let { referenceCount } = known;

  const subjectOf = (subjectId: string) => {
    const subject = subjects.get(subjectId) ?? { labels: [], references: [] };
    subjects.set(subjectId, subject);
    return subject;
  };
  const note = (row: FaceRow): void => {
    if (row.referenceId == null) {
      subjectOf(row.subjectId).labels = row.labels;
      return;
    }
    subjectOf(row.subjectId).references.push(row);
    byId.set(row.referenceId, row);
    if (row.imageHash == null) return;
    const sameImage = byImage.get(row.imageHash);
    if (sameImage) sameImage.push(row);
    else byImage.set(row.imageHash, [row]);
  };
  const answer = (status: AddedReference['status'], row: FaceRow): AddedReference => {
    const others = row.imageHash == null ? [] : (byImage.get(row.imageHash) ?? []);
    return {
      status,
      reference: toReference(row),
      sameImage: others
        .filter((other) => other !== row)
        .slice(0, MAX_SAME_IMAGE)
        .map(toKey),
    };
  };
  const add = (reference: NewReference): AddedReference | FaceError => {
    const { id, subjectId, imageHash, embedding } = reference;
    const existing = byId.get(id);
    if (existing) return answer('existing', existing);
    if (embedding.length !== gallery.dimensions) {
      return galleryErrors.wrongLength(gallery.dimensions, embedding.length);
    }
    const subject = subjects.get(subjectId);
    const duplicate = imageHash != null && subject?.references.find((row) => row.imageHash === imageHash);
    if (duplicate) return answer('duplicate', duplicate);
    if (referenceCount >= gallery.capacity) return galleryErrors.galleryFull(gallery.id, gallery.capacity);
    const { maxReferencesPerSubject } = gallery;
    if ((subject?.references.length ?? 0) >= maxReferencesPerSubject) {
      return galleryErrors.subjectFull(gallery.id, subjectId, maxReferencesPerSubject);
    }
    if (!subject) {
      const row = newSubjectRow(subjectId, {}, now, nextPosition());
      added.push(row);
      note(row);
    }
    const row = newReferenceRow(reference, subject?.labels ?? [], now, nextPosition());
    added.push(row);
    note(row);
    referenceCount++;
    return answer('added', row);
  };

  known.rows.forEach(note);
  return { outcomes: references.map(add), added };
}

const toKey = ({ subjectId, referenceId }: FaceRow): ReferenceKey => ({
  subjectId,
  referenceId: referenceId as string,
});
