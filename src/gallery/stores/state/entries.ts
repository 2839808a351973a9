import type {
  AddedReference,
  Reference,
  ReferenceKey,
  StoredReference,
  Subject,
  SubjectRights,
} from '../../gallery.types';

/*
 * What is kept in memory. Entries never change: a change puts another one in the place of the old one. `uid` is unique in the
 * store, grows with time and stays over every change. `record` is the number of the record in the file of a durable store.
 */

/** Of a subject, all but its references. */
export interface SubjectDetails extends Omit<Subject, 'referenceCount'> {
  readonly uid: number;
  record?: number;
}

export interface SubjectEntry {
  readonly details: SubjectDetails;
  /** In the index: dense in the gallery, and taken again when the subject is gone. */
  readonly number: number;
  /** In the order in which they were added. */
  readonly references: readonly ReferenceEntry[];
}

export interface ReferenceEntry extends Omit<Reference, 'subjectId' | 'hasCrop'> {
  readonly uid: number;
  /** The same one in every entry of the reference: it never changes. */
  readonly crop?: CropEntry;
  /** Number of the subject. */
  readonly subject: number;
  /** In the index. */
  readonly row: number;
  record?: number;
}

export interface CropEntry {
  readonly uid: number;
  /** Encoded image, where it is held in memory. A durable store drops it when it is written. */
  content?: Uint8Array;
  record?: number;
}

/** An entry in the place of another: without `before` it is new, without `after` it goes. */
export interface Replacement<T> {
  before?: T;
  after?: T;
}

export interface ReferenceReplacement extends Replacement<ReferenceEntry> {
  /** Float32Array [D] of a new one. */
  embedding?: Float32Array;
}

/** What becomes of a reference that is to be added. */
export interface PlannedAddition {
  status: AddedReference['status'];
  /** The one that will be there. */
  entry: ReferenceEntry;
}

export const NO_RIGHTS: SubjectRights = { consentRef: null, purpose: null, expiresAt: null };

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
