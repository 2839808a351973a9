import type { Schema } from 'apache-arrow';
import type {
  FaceQuality,
  Gallery,
  GallerySettings,
  Metadata,
  MetadataFilter,
  NewReference,
  Reference,
  StoredReference,
  Subject,
  SubjectRights,
} from '../gallery.types';
import { packMetadata, unpackMetadata } from '../packed-metadata';
import type { LancePackage } from './lance-package';

/**
 * A row of a gallery's table: a reference, or a subject itself, which has neither reference id nor vector. Both are in one
 * table, so that whatever a change touches is one commit.
 */
export interface FaceRow {
  /** {@link subjectKey} or {@link referenceKey}, unique in the table. */
  key: string;
  subjectId: string;
  referenceId: string | null;
  /** Float32Array [D], unit length. */
  vector: Float32Array | null;
  /** {@link labelsOf} the subject: also in the rows of its references, which are what a search filters. */
  labels: readonly string[];
  /** Of the subject or of the reference. JSON. */
  metadata: string;
  /** JSON. */
  quality: string | null;
  imageHash: string | null;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
  updatedAt: number;
  /** Rises with every row that is added to the gallery. */
  position: number;
}

/** A row of the table of galleries. */
export interface GalleryRow extends Omit<Gallery, 'metadata' | 'subjectCount' | 'referenceCount'> {
  /** JSON. */
  metadata: string;
  /** Of the table with its faces: never used again, so that a gallery that is made anew has nothing of the old one. */
  tableName: string;
  /** The gallery is deleted, its table perhaps not yet. */
  isDeleted: boolean;
  /** Whoever changes the gallery now; empty where nobody does. */
  lockedBy: string;
  /** When a lock that was not given back may be taken from its owner. Milliseconds since 1970, UTC. */
  lockedUntil: number;
  /** How often the gallery was locked. */
  turn: number;
}

export const subjectKey = (subjectId: string): string => `s${subjectId}`;
export const referenceKey = (referenceId: string): string => `r${referenceId}`;

/** Schema of a table of {@link FaceRow}s. */
export function faceSchema({ arrow }: LancePackage, dimensions: number): Schema {
  const { Field, FixedSizeList, Float32, Float64, List, Utf8 } = arrow;
  return new arrow.Schema([
    new Field('key', new Utf8(), false),
    new Field('subjectId', new Utf8(), false),
    new Field('referenceId', new Utf8(), true),
    new Field('vector', new FixedSizeList(dimensions, new Field('item', new Float32(), true)), true),
    new Field('labels', new List(new Field('item', new Utf8(), true)), false),
    new Field('metadata', new Utf8(), false),
    new Field('quality', new Utf8(), true),
    new Field('imageHash', new Utf8(), true),
    new Field('createdAt', new Float64(), false),
    new Field('updatedAt', new Float64(), false),
    new Field('position', new Float64(), false),
  ]);
}

/** Schema of the table of {@link GalleryRow}s. */
export function gallerySchema({ arrow }: LancePackage): Schema {
  const { Bool, Field, Float64, Utf8 } = arrow;
  return new arrow.Schema([
    new Field('id', new Utf8(), false),
    new Field('contract', new Utf8(), false),
    new Field('dimensions', new Float64(), false),
    new Field('threshold', new Float64(), true),
    new Field('targetFmr', new Float64(), true),
    new Field('targetFpir', new Float64(), true),
    new Field('capacity', new Float64(), false),
    new Field('maxReferencesPerSubject', new Float64(), false),
    new Field('enrolmentGate', new Utf8(), false),
    new Field('maxAgeSeconds', new Float64(), true),
    new Field('sinceLastMatchSeconds', new Float64(), true),
    new Field('matchesSince', new Float64(), true),
    new Field('metadata', new Utf8(), false),
    new Field('createdAt', new Float64(), false),
    new Field('updatedAt', new Float64(), false),
    new Field('tableName', new Utf8(), false),
    new Field('isDeleted', new Bool(), false),
    new Field('lockedBy', new Utf8(), false),
    new Field('lockedUntil', new Float64(), false),
    new Field('turn', new Float64(), false),
  ]);
}

/** A text as SQL has it. A quote is doubled; nothing else has a meaning in it. */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Whether a column holds one of the texts. */
export function isOneOf(column: keyof FaceRow, texts: Iterable<string>): string {
  const list = [...new Set(texts)].map(sqlText);
  return list.length === 0 ? 'false' : `${column} IN (${list.join(', ')})`;
}

// JSON keeps apart what `===` keeps apart, "1" and 1 for example.
const label = (key: string, value: Metadata[string]): string => JSON.stringify([key, value]);

/** Metadata as texts that can be looked for in SQL. */
export const labelsOf = (metadata: Metadata): string[] =>
  Object.entries(metadata).map(([key, value]) => label(key, value));

/** {@link passesFilter} in SQL, by the {@link labelsOf} a subject. `null` where everything passes. */
export function filterSql(filter: MetadataFilter = {}): string | null {
  const conditions = Object.entries(filter).map(([key, wanted]) => {
    const values = Array.isArray(wanted)
      ? (wanted as readonly Metadata[string][])
      : [wanted as Metadata[string]];
    if (values.length === 0) return 'false';
    return `array_has_any(labels, make_array(${values.map((value) => sqlText(label(key, value))).join(', ')}))`;
  });
  return conditions.length === 0 ? null : conditions.join(' AND ');
}

/** Conditions of which all must hold; those that are `null` always do. */
export const allOf = (...conditions: (string | null)[]): string =>
  conditions.flatMap((condition) => (condition == null ? [] : `(${condition})`)).join(' AND ');

/** Row of a subject that is new. */
export function newSubjectRow(
  subjectId: string,
  metadata: Metadata,
  now: number,
  position: number,
  rights: Partial<SubjectRights> = {},
): FaceRow {
  return {
    key: subjectKey(subjectId),
    subjectId,
    referenceId: null,
    vector: null,
    labels: labelsOf(metadata),
    metadata: metadataJson(metadata, rights),
    quality: null,
    imageHash: null,
    createdAt: now,
    updatedAt: now,
    position,
  };
}

/** Row of a reference that is new, of a subject with these labels. */
export function newReferenceRow(
  reference: NewReference,
  labels: readonly string[],
  now: number,
  position: number,
): FaceRow {
  return {
    key: referenceKey(reference.id),
    subjectId: reference.subjectId,
    referenceId: reference.id,
    vector: reference.embedding,
    labels,
    metadata: metadataJson(reference.metadata, { expiresAt: reference.expiresAt ?? null }),
    quality: reference.quality && JSON.stringify(reference.quality),
    imageHash: reference.imageHash,
    createdAt: now,
    updatedAt: now,
    position,
  };
}

export const parseMetadata = (json: string): Metadata =>
  unpackMetadata(JSON.parse(json)).metadata as Metadata;

/** What of the subject of a row came after the first format. */
export function rightsOf({
  metadata,
}: Pick<FaceRow, 'metadata'>): SubjectRights & Pick<Subject, 'lastMatchedAt'> {
  const { later } = unpackMetadata(JSON.parse(metadata));
  return { consentRef: null, purpose: null, expiresAt: null, lastMatchedAt: null, ...later };
}

/** Metadata and what came after it, as the column holds them. */
export const metadataJson = (metadata: Metadata, later: object): string =>
  JSON.stringify(packMetadata(metadata, { ...later }));

export function toSubject(row: FaceRow, referenceCount: number): Subject {
  const { subjectId, createdAt, updatedAt } = row;
  const metadata = parseMetadata(row.metadata);
  return { id: subjectId, metadata, ...rightsOf(row), referenceCount, createdAt, updatedAt };
}

/** @param row - of a reference; its vector is not looked at. */
export function toReference(row: Omit<FaceRow, 'vector'>): Reference {
  return {
    id: row.referenceId as string,
    subjectId: row.subjectId,
    metadata: parseMetadata(row.metadata),
    quality: row.quality == null ? null : (JSON.parse(row.quality) as FaceQuality),
    imageHash: row.imageHash,
    expiresAt: rightsOf(row).expiresAt,
    createdAt: row.createdAt,
  };
}

/** @param row - of a reference. */
export function toStoredReference(row: FaceRow): StoredReference {
  return { ...toReference(row), embedding: row.vector as Float32Array };
}

export function toGallery(
  row: GalleryRow,
  counts: { subjectCount: number; referenceCount: number },
): Gallery {
  const { id, contract, dimensions, capacity, maxReferencesPerSubject, enrolmentGate } = row;
  const { threshold, targetFmr, targetFpir, maxAgeSeconds, sinceLastMatchSeconds, matchesSince } = row;
  const settings: GallerySettings = {
    threshold,
    targetFmr,
    targetFpir,
    capacity,
    maxReferencesPerSubject,
    enrolmentGate,
    maxAgeSeconds,
    sinceLastMatchSeconds,
    matchesSince,
    metadata: parseMetadata(row.metadata),
  };
  return {
    id,
    contract,
    dimensions,
    ...settings,
    ...counts,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
