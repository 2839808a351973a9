import type { GalleryRecord } from '../gallery.types';
import type { Table } from '@lancedb/lancedb';
import { faceRows } from './lance-database';
import { isOneOf, toStoredReference, toSubject } from './lance-rows';

/** Rows that are read at once. */
const CHUNK = 256;

/** Keys of all rows that are there now, a subject's before those of its references, in parts that are small enough to read. */
export async function exportedKeys(faces: Table): Promise<string[][]> {
  const rows = (await faces.query().select(['key', 'subjectId', 'referenceId', 'position']).toArray()) as {
    key: string;
    subjectId: string;
    referenceId: string | null;
    position: number;
  }[];
  const keys = rows
    .map(({ key, subjectId, referenceId, position }) => ({
      key,
      subjectId,
      isReference: referenceId != null,
      position,
    }))
    .sort(
      (a, b) =>
        (a.subjectId < b.subjectId ? -1 : a.subjectId > b.subjectId ? 1 : 0) ||
        Number(a.isReference) - Number(b.isReference) ||
        a.position - b.position,
    )
    .map(({ key }) => key);
  return Array.from({ length: Math.ceil(keys.length / CHUNK) }, (_, i) =>
    keys.slice(i * CHUNK, (i + 1) * CHUNK),
  );
}

/**
 * What is there still of some rows, each reference under the subject that it has now.
 *
 * @param given - ids of the subjects that the export has named so far.
 */
export async function exportRows(
  faces: Table,
  keys: readonly string[],
  given: ReadonlySet<string>,
): Promise<GalleryRecord[]> {
  const rows = await faceRows(faces, isOneOf('key', keys), { vectors: true });
  const newIds = new Set(rows.map((row) => row.subjectId).filter((id) => !given.has(id)));
  const ofNewSubjects = await faceRows(faces, isOneOf('subjectId', newIds), { vectors: false });
  const named = new Set(given);
  const subjects = ofNewSubjects.flatMap((row): GalleryRecord[] => {
    if (row.referenceId != null) return [];
    named.add(row.subjectId);
    const referenceCount = ofNewSubjects.filter(
      (other) => other.subjectId === row.subjectId && other.referenceId != null,
    ).length;
    return [{ kind: 'subject', subject: toSubject(row, referenceCount) }];
  });
  const references = rows.flatMap((row): GalleryRecord[] =>
    // Of a subject that went in between, the references went too.
    row.referenceId == null || !named.has(row.subjectId)
      ? []
      : [{ kind: 'reference', reference: toStoredReference(row) }],
  );
  return [...subjects, ...references];
}
