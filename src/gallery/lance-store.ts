import { randomUUID } from 'node:crypto';
import type { Table } from '@lancedb/lancedb';
import type { FaceError } from '../errors';
import { galleryErrors } from './gallery-errors';
import { mergedRights } from './gallery-rules';
import { GalleryStore } from './gallery-store';
import type {
  AddedReference,
  DeletionCounts,
  Gallery,
  GalleryRecord,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  NewGallery,
  NewReference,
  Page,
  PageRequest,
  Reference,
  ReferenceRights,
  SearchOptions,
  StoredReference,
  Subject,
  SubjectRights,
} from './gallery.types';
import { exportedKeys, exportRows } from './lance/export-faces';
import { GalleryChanges } from './lance/gallery-changes';
import { faceRows, LanceDatabase, MAKING_ID } from './lance/lance-database';
import type { LanceStoreOptions } from './lance/lance.options';
import {
  allOf,
  filterSql,
  isOneOf,
  labelsOf,
  metadataJson,
  newSubjectRow,
  parseMetadata,
  referenceKey,
  rightsOf,
  sqlText,
  subjectKey,
  toGallery,
  toReference,
  toStoredReference,
  toSubject,
  type FaceRow,
  type GalleryRow,
} from './lance/lance-rows';
import { planAdditions } from './lance/plan-additions';
import { searchFaces } from './lance/search-faces';

const IS_REFERENCE = 'referenceId IS NOT NULL';
const IS_SUBJECT = 'referenceId IS NULL';

/**
 * Galleries in LanceDB, on a folder or on object storage, shared by any number of replicas. Search is exact, and slower than
 * in memory: every search reads all vectors of the gallery.
 *
 * Needs the optional packages `@lancedb/lancedb` and `apache-arrow`, which are loaded by {@link open} and not before.
 *
 * A change is acknowledged when LanceDB has committed it: on object storage it is then as durable as what the storage
 * acknowledges; in a folder it outlives the process, but not surely a power failure. All replicas see it from then on.
 * Each change that removes something rewrites the gallery, so that nothing of it is left in the files.
 *
 * @publicApi
 */
export class LanceStore extends GalleryStore {
  /** @throws {FaceError} GALLERY_STORE_INVALID where the packages are absent or the database cannot be opened. */
  static async open(options: LanceStoreOptions): Promise<LanceStore> {
    const database = await LanceDatabase.open(options);
    // Of replicas that ended in the middle of it.
    for (const gallery of await database.galleryRows('isDeleted')) await database.dropGallery(gallery);
    return new LanceStore(database, new GalleryChanges(database, options.onNotice));
  }

  private constructor(
    private readonly database: LanceDatabase,
    private readonly changes: GalleryChanges,
  ) {
    super();
  }

  createGallery(gallery: NewGallery): Promise<Gallery> {
    const make = async (): Promise<Gallery> => {
      for (const other of await this.database.galleryRows(`id = ${sqlText(gallery.id)}`)) {
        if (!other.isDeleted) throw galleryErrors.galleryExists(gallery.id);
        await this.database.dropGallery(other);
      }
      const now = Date.now();
      const row: GalleryRow = {
        id: gallery.id,
        contract: gallery.contract,
        dimensions: gallery.dimensions,
        threshold: gallery.threshold,
        targetFmr: gallery.targetFmr,
        targetFpir: gallery.targetFpir,
        capacity: gallery.capacity,
        maxReferencesPerSubject: gallery.maxReferencesPerSubject,
        enrolmentGate: gallery.enrolmentGate,
        maxAgeSeconds: gallery.maxAgeSeconds,
        sinceLastMatchSeconds: gallery.sinceLastMatchSeconds,
        matchesSince: gallery.matchesSince,
        metadata: JSON.stringify(gallery.metadata),
        createdAt: now,
        updatedAt: now,
        tableName: `faces-${randomUUID()}`,
        isDeleted: false,
        lockedBy: '',
        lockedUntil: 0,
        turn: 0,
      };
      await this.database.addGallery(row);
      return toGallery(row, { subjectCount: 0, referenceCount: 0 });
    };
    return this.changes.run(gallery.id, make, MAKING_ID);
  }

  getGallery(galleryId: string): Promise<Gallery> {
    return this.read(galleryId, (faces, row) => describeGallery(faces, row));
  }

  listGalleries({ limit, after = '' }: PageRequest): Promise<Page<Gallery>> {
    return this.database.retried(async () => {
      // Ids above `after`, and so not the row of the lock, whose id is empty.
      const rows = await this.database.galleryRows(`id > ${sqlText(after)} AND NOT isDeleted`);
      rows.sort((a, b) => (a.id < b.id ? -1 : 1));
      const items: Gallery[] = [];
      for (const row of rows.slice(0, limit))
        items.push(await describeGallery(await this.database.faces(row), row));
      return { items, next: rows.length > limit ? rows[limit - 1].id : null };
    });
  }

  updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery> {
    return this.changes.run(galleryId, async ({ gallery, faces }) => {
      const { metadata, ...settings } = changes;
      const values: Partial<GalleryRow> = { ...settings, updatedAt: Date.now() };
      if (metadata) values.metadata = JSON.stringify(metadata);
      await this.database.updateGalleries(`id = ${sqlText(galleryId)}`, values);
      return describeGallery(faces, { ...gallery, ...values });
    });
  }

  deleteGallery(galleryId: string): Promise<DeletionCounts> {
    return this.changes.run(galleryId, async ({ gallery, faces }) => {
      const counts = await countRows(faces);
      await this.database.updateGalleries(`tableName = ${sqlText(gallery.tableName)}`, { isDeleted: true });
      await this.database.dropGallery(gallery);
      return counts;
    });
  }

  putSubject(
    galleryId: string,
    subjectId: string,
    metadata: Metadata,
    rights: Partial<SubjectRights> = {},
  ): Promise<{ subject: Subject; isNew: boolean }> {
    return this.changes.run(galleryId, async (turn) => {
      const now = Date.now();
      const rows = await faceRows(turn.faces, ofSubject(subjectId), { vectors: true });
      const old = rows.find(isSubject);
      if (old == null) {
        const row = newSubjectRow(subjectId, metadata, now, turn.nextPosition(), rights);
        await turn.write({ added: [row] });
        return { subject: toSubject(row, 0), isNew: true };
      }
      const row: FaceRow = {
        ...old,
        metadata: metadataJson(metadata, { ...rightsOf(old), ...rights }),
        updatedAt: now,
      };
      const labels = labelsOf(metadata);
      const replaced = [row, ...rows.filter(isReference)].map((one) => ({ ...one, labels }));
      await turn.write({ replaced });
      return { subject: toSubject(row, rows.length - 1), isNew: false };
    });
  }

  getSubject(galleryId: string, subjectId: string): Promise<Subject> {
    return this.read(galleryId, async (faces) => {
      const rows = await faceRows(faces, ofSubject(subjectId), { vectors: false });
      return toSubject(subjectRow(rows, galleryId, subjectId), rows.length - 1);
    });
  }

  listSubjects(
    galleryId: string,
    { limit, after, filter }: PageRequest & { filter?: MetadataFilter },
  ): Promise<Page<Subject>> {
    return this.read(galleryId, async (faces) => {
      const isLater = after == null ? null : `subjectId > ${sqlText(after)}`;
      const found = (await faces
        .query()
        .where(allOf(IS_SUBJECT, isLater, filterSql(filter)))
        .select(['subjectId'])
        .orderBy({ columnName: 'subjectId' })
        .limit(limit + 1)
        .toArray()) as Pick<FaceRow, 'subjectId'>[];
      const ids = found.slice(0, limit).map((row) => row.subjectId);
      const rows = await faceRows(faces, isOneOf('subjectId', ids), { vectors: false });
      const counts = new Map<string, number>();
      for (const { subjectId } of rows.filter(isReference)) {
        counts.set(subjectId, (counts.get(subjectId) ?? 0) + 1);
      }
      const subjects = new Map(
        rows.filter(isSubject).map((row) => [row.subjectId, toSubject(row, counts.get(row.subjectId) ?? 0)]),
      );
      return {
        items: ids.flatMap((id) => subjects.get(id) ?? []),
        next: found.length > limit ? ids[limit - 1] : null,
      };
    });
  }

  recordMatches(galleryId: string, subjectIds: readonly string[], matchedAt: number): Promise<void> {
    return this.changes.run(galleryId, async (turn) => {
      const ofSubjects = allOf(IS_SUBJECT, isOneOf('subjectId', subjectIds));
      const rows = await faceRows(turn.faces, ofSubjects, { vectors: true });
      const replaced = rows
        .filter((row) => (rightsOf(row).lastMatchedAt ?? 0) < matchedAt)
        .map((row) => {
          const later = { ...rightsOf(row), lastMatchedAt: matchedAt };
          return { ...row, metadata: metadataJson(parseMetadata(row.metadata), later) };
        });
      await turn.write({ replaced });
    });
  }

  renameSubject(
    galleryId: string,
    subjectId: string,
    newSubjectId: string,
    { merge }: { merge: boolean },
  ): Promise<Subject> {
    return this.changes.run(galleryId, async (turn) => {
      const rows = await faceRows(turn.faces, isOneOf('subjectId', [subjectId, newSubjectId]), {
        vectors: true,
      });
      const renamed = rows.filter((row) => row.subjectId === subjectId);
      const old = subjectRow(renamed, galleryId, subjectId);
      if (newSubjectId === subjectId) return toSubject(old, renamed.length - 1);
      const others = rows.filter((row) => row.subjectId === newSubjectId);
      const other = others.find(isSubject);
      if (other && !merge) throw galleryErrors.subjectExists(galleryId, newSubjectId);

      const images = new Set(others.map((row) => row.imageHash));
      const isDropped = (row: FaceRow) => row.imageHash != null && images.has(row.imageHash);
      const moved = renamed
        .filter((row) => isReference(row) && !isDropped(row))
        // Behind those that are there already.
        .map((row) => (other ? { ...row, position: turn.nextPosition() } : row));
      const references = [...others.filter(isReference), ...moved];
      const { maxReferencesPerSubject } = turn.gallery;
      if (other && moved.length > 0 && references.length > maxReferencesPerSubject) {
        throw galleryErrors.subjectFull(galleryId, newSubjectId, maxReferencesPerSubject);
      }
      const metadata = { ...parseMetadata(old.metadata), ...(other && parseMetadata(other.metadata)) };
      const row: FaceRow = {
        ...(other ?? old),
        key: subjectKey(newSubjectId),
        metadata: metadataJson(
          metadata,
          other ? mergedRights(rightsOf(old), rightsOf(other)) : rightsOf(old),
        ),
        updatedAt: Date.now(),
      };
      const labels = labelsOf(metadata);
      await turn.write({
        replaced: [row, ...references].map((one) => ({ ...one, subjectId: newSubjectId, labels })),
        removedKeys: [
          old.key,
          ...renamed
            .filter(isReference)
            .filter(isDropped)
            .map(({ key }) => key),
        ],
      });
      return toSubject({ ...row, subjectId: newSubjectId }, references.length);
    });
  }

  deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts> {
    return this.changes.run(galleryId, async (turn) => {
      const rows = await faceRows(turn.faces, ofSubject(subjectId), { vectors: false });
      subjectRow(rows, galleryId, subjectId);
      await turn.write({ removedKeys: rows.map(({ key }) => key) });
      return { subjectCount: 1, referenceCount: rows.length - 1 };
    });
  }

  addReferences(
    galleryId: string,
    references: readonly NewReference[],
  ): Promise<(AddedReference | FaceError)[]> {
    // Copied before the first wait: the caller may use them for something else.
    const copies = references.map((one) => ({ ...one, embedding: one.embedding.slice() }));
    return this.changes.run(galleryId, async (turn) => {
      const { gallery, faces } = turn;
      const rows = await knownRows(faces, copies);
      const referenceCount = await faces.countRows(IS_REFERENCE);
      const { outcomes, added } = planAdditions(gallery, { rows, referenceCount }, copies, Date.now(), () =>
        turn.nextPosition(),
      );
      await turn.write({ added });
      return outcomes;
    });
  }

  getReference(galleryId: string, subjectId: string, referenceId: string): Promise<StoredReference> {
    return this.read(galleryId, async (faces) =>
      toStoredReference(await referenceRow(faces, galleryId, subjectId, referenceId)),
    );
  }

  listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]> {
    return this.read(galleryId, async (faces) => {
      const rows = await faceRows(faces, ofSubject(subjectId), { vectors: true });
      subjectRow(rows, galleryId, subjectId);
      return rows.filter(isReference).map(toStoredReference);
    });
  }

  override describeReferences(galleryId: string, subjectIds: readonly string[]): Promise<Reference[]> {
    return this.read(galleryId, async (faces) => {
      const ofSubjects = allOf(IS_REFERENCE, isOneOf('subjectId', subjectIds));
      return (await faceRows(faces, ofSubjects, { vectors: false })).map(toReference);
    });
  }

  updateReference(
    galleryId: string,
    subjectId: string,
    referenceId: string,
    metadata: Metadata,
    rights: Partial<ReferenceRights> = {},
  ): Promise<Reference> {
    return this.changes.run(galleryId, async (turn) => {
      const old = await referenceRow(turn.faces, galleryId, subjectId, referenceId);
      const { expiresAt } = { ...rightsOf(old), ...rights };
      const row: FaceRow = {
        ...old,
        metadata: metadataJson(metadata, { expiresAt }),
        updatedAt: Date.now(),
      };
      await turn.write({ replaced: [row] });
      return toReference(row);
    });
  }

  deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void> {
    return this.changes.run(galleryId, async (turn) => {
      const { key } = await referenceRow(turn.faces, galleryId, subjectId, referenceId);
      await turn.write({ removedKeys: [key] });
    });
  }

  search(galleryId: string, probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    return this.read(galleryId, async (faces, { dimensions }) => {
      for (const { length } of probes) {
        if (length !== dimensions) throw galleryErrors.wrongLength(dimensions, length);
      }
      // One after the other: each takes all cores and reads the whole gallery.
      const answers: Hit[][] = [];
      for (const probe of probes) answers.push(await searchFaces(faces, probe, options));
      return answers;
    });
  }

  async *exportRecords(galleryId: string): AsyncIterable<GalleryRecord> {
    const given = new Set<string>();
    for (const keys of await this.read(galleryId, exportedKeys)) {
      for (const record of await this.read(galleryId, (faces) => exportRows(faces, keys, given))) {
        if (record.kind === 'subject') given.add(record.subject.id);
        yield record;
      }
    }
  }

  close(): Promise<void> {
    return this.database.close();
  }

  private read<T>(galleryId: string, work: (faces: Table, row: GalleryRow) => Promise<T>): Promise<T> {
    return this.database.retried(async () => {
      const row = await this.database.galleryRow(galleryId);
      return work(await this.database.faces(row), row);
    });
  }
}

const ofSubject = (subjectId: string): string => isOneOf('subjectId', [subjectId]);
const isReference = (row: FaceRow): boolean => row.referenceId != null;
const isSubject = (row: FaceRow): boolean => row.referenceId == null;

async function describeGallery(faces: Table, row: GalleryRow): Promise<Gallery> {
  return toGallery(row, await countRows(faces));
}

async function countRows(faces: Table): Promise<DeletionCounts> {
  return {
    subjectCount: await faces.countRows(IS_SUBJECT),
    referenceCount: await faces.countRows(IS_REFERENCE),
  };
}

/** Row of the subject itself. @param rows - all of the subject. */
function subjectRow(rows: readonly FaceRow[], galleryId: string, subjectId: string): FaceRow {
  const row = rows.find(isSubject);
  if (row == null) throw galleryErrors.subjectNotFound(galleryId, subjectId);
  return row;
}

async function referenceRow(
  faces: Table,
  galleryId: string,
  subjectId: string,
  referenceId: string,
): Promise<FaceRow> {
  const keys = [subjectKey(subjectId), referenceKey(referenceId)];
  const rows = await faceRows(faces, isOneOf('key', keys), { vectors: true });
  subjectRow(rows, galleryId, subjectId);
  const row = rows.find((one) => isReference(one) && one.subjectId === subjectId);
  if (row == null) throw galleryErrors.referenceNotFound(galleryId, subjectId, referenceId);
  return row;
}

/** Rows with the ids, subjects and images of references; and with the images of those that have one of the ids already. */
async function knownRows(faces: Table, references: readonly NewReference[]): Promise<FaceRow[]> {
  const hashes = new Set(references.flatMap(({ imageHash }) => imageHash ?? []));
  const keys = references.map(({ id }) => referenceKey(id));
  const conditions = [
    isOneOf('key', keys),
    isOneOf(
      'subjectId',
      references.map(({ subjectId }) => subjectId),
    ),
    isOneOf('imageHash', hashes),
  ];
  const rows = await faceRows(faces, conditions.join(' OR '), { vectors: false });
  const ids = new Set(keys);
  const otherHashes = rows.flatMap(({ key, imageHash }) =>
    ids.has(key) && imageHash != null && !hashes.has(imageHash) ? [imageHash] : [],
  );
  if (otherHashes.length === 0) return rows;
  const known = new Set(rows.map(({ key }) => key));
  const more = await faceRows(faces, isOneOf('imageHash', otherHashes), { vectors: false });
  return [...rows, ...more.filter(({ key }) => !known.has(key))].sort((a, b) => a.position - b.position);
}
