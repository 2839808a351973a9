import type {
  AddedReference,
  Metadata,
  Reference,
  ReferenceKey,
  StoredReference,
  Subject,
  SubjectRights,
} from '../../gallery.types';

/*
 * Entries in memory. They are immutable: a change replaces an entry with a new one. `uid` is unique in the store, grows with
 * time and survives every change. `record` is the number of the record in the file of a durable store.
 *
 * Those kept by the million are made field by field, by the functions below: V8 gives an object that is frozen after a spread, or
 * gets more fields after one, a hidden class of its own, which takes more memory than the fields.
 */

/** A subject without its references. */
export interface SubjectDetails extends Omit<Subject, 'referenceCount'> {
  readonly uid: number;
  record?: number;
}

export interface SubjectEntry {
  readonly details: SubjectDetails;
  /** Subject number in the index: dense in the gallery, and reused after the subject is deleted. */
  readonly number: number;
  /** In the order of addition. */
  readonly references: readonly ReferenceEntry[];
}

export interface ReferenceEntry extends Omit<Reference, 'subjectId' | 'hasCrop'> {
  readonly uid: number;
  /** Immutable: every entry of the reference shares the same one. */
  readonly crop?: CropEntry;
  /** Number of its subject. */
  readonly subject: number;
  /** Row in the index. */
  readonly row: number;
  record?: number;
}

export interface CropEntry {
  readonly uid: number;
  /** Encoded image, if held in memory. A durable store drops it once it is written. */
  content?: Uint8Array;
  record?: number;
}

/** Replaces one entry with another. Without `before` the entry is added, without `after` it is removed. */
export interface Replacement<T> {
  before?: T;
  after?: T;
}

export interface ReferenceReplacement extends Replacement<ReferenceEntry> {
  /** Float32Array [D]; only for a new reference. */
  embedding?: Float32Array;
}

/** Planned outcome of adding a reference. */
export interface PlannedAddition {
  status: AddedReference['status'];
  /** The added entry, or the one already present. */
  entry: ReferenceEntry;
}

export const NO_RIGHTS: SubjectRights = { consentRef: null, purpose: null, expiresAt: null };

/** Shared by all entries without metadata, as most references are. */
export const NO_METADATA: Metadata = Object.freeze({});

export function makeDetails({
  uid,
  id,
  metadata,
  consentRef,
  purpose,
  expiresAt,
  lastMatchedAt,
  createdAt,
  updatedAt,
  record,
}: SubjectDetails): SubjectDetails {
  return {
    uid,
    id,
    metadata: copyMetadata(metadata),
    consentRef,
    purpose,
    expiresAt,
    lastMatchedAt,
    createdAt,
    updatedAt,
    record,
  };
}

export function makeReference({
  uid,
  id,
  subject,
  row,
  metadata,
  quality,
  imageHash,
  expiresAt,
  crop,
  createdAt,
  record,
}: ReferenceEntry): ReferenceEntry {
  return {
    uid,
    id,
    subject,
    row,
    metadata: copyMetadata(metadata),
    quality,
    imageHash,
    expiresAt,
    crop,
    createdAt,
    record,
  };
}

/** A copy that nobody changes: the index needs the same values again for removal. */
function copyMetadata(metadata: Metadata): Metadata {
  if (Object.isFrozen(metadata)) return metadata;
  const entries = Object.entries(metadata);
  return entries.length === 0 ? NO_METADATA : Object.freeze(Object.fromEntries(entries));
}

export function toSubject({ details, references }: SubjectEntry): Subject {
  const { uid: _uid, record: _record, ...subject } = details;
  return { ...subject, referenceCount: references.length };
}

export function toReference(entry: ReferenceEntry, subjectId: string): Reference {
  const { id, metadata, quality, imageHash, expiresAt, createdAt, crop } = entry;
  return { id, subjectId, metadata, quality, imageHash, expiresAt, hasCrop: crop !== undefined, createdAt };
}

export function toStored(entry: ReferenceEntry, subjectId: string, embedding: Float32Array): StoredReference {
  return { ...toReference(entry, subjectId), embedding };
}

export function toKey({ id }: ReferenceEntry, owner: SubjectEntry): ReferenceKey {
  return { subjectId: owner.details.id, referenceId: id };
}
