import type {
  Gallery,
  Metadata,
  NewGallery,
  Reference,
  StoredReference,
  Subject,
  SubjectRights,
} from '../gallery.types';
import type { GalleryState } from './gallery-state';

/*
 * What is kept in memory. Entries never change: a change puts another in the place of the old one, so that what is planned
 * and what is safe can stand beside each other. `uid` is unique in the store, grows with time and stays over every change;
 * `record` is the number of the record in the file, one for each entry that was written.
 */

export interface GalleryEntry extends NewGallery {
  readonly uid: number;
  readonly record: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly state: GalleryState;
}

export interface SubjectEntry extends SubjectRights {
  readonly uid: number;
  readonly record: number;
  /** In the index: dense in the gallery, and taken again when the subject is gone. */
  readonly number: number;
  readonly id: string;
  readonly metadata: Metadata;
  readonly lastMatchedAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Ids, in the order in which they were added. */
  readonly references: readonly string[];
}

export interface ReferenceEntry extends Omit<Reference, 'subjectId'> {
  readonly uid: number;
  readonly record: number;
  /** Number of the subject. */
  readonly subject: number;
  /** In the index; -1 before it has settled. */
  row: number;
  /** The embedding, before it has settled. */
  pending: Float32Array | undefined;
}

/** What is written to a file, where there is one. */
export type RecordContent =
  | { kind: 'gallery'; gallery: Omit<GalleryEntry, 'state'> }
  | { kind: 'subject'; galleryUid: number; subject: Omit<SubjectEntry, 'number' | 'references'> }
  | { kind: 'reference'; subjectUid: number; reference: ReferenceEntry; embedding: Float32Array };

/** What of a record comes back from the file. */
export type RestoredGallery = Omit<GalleryEntry, 'record' | 'state'>;

export interface RestoredSubject extends Omit<SubjectEntry, 'record' | 'number' | 'references'> {
  readonly galleryUid: number;
}

export interface RestoredReference extends Omit<ReferenceEntry, 'record' | 'subject' | 'row' | 'pending'> {
  readonly subjectUid: number;
  /** Float32Array [D]. Not to be kept. */
  readonly embedding: Float32Array;
}

export function toGallery(entry: GalleryEntry): Gallery {
  const { uid: _uid, record: _record, state, ...gallery } = entry;
  return { ...gallery, subjectCount: state.subjectCount, referenceCount: state.referenceCount };
}

export function toSubject(entry: SubjectEntry): Subject {
  const { id, metadata, consentRef, purpose, expiresAt, lastMatchedAt } = entry;
  const { references, createdAt, updatedAt } = entry;
  const rights = { consentRef, purpose, expiresAt };
  return { id, metadata, ...rights, lastMatchedAt, referenceCount: references.length, createdAt, updatedAt };
}

export function toReference(entry: ReferenceEntry, subjectId: string): Reference {
  const { id, metadata, quality, imageHash, expiresAt, createdAt } = entry;
  return { id, subjectId, metadata, quality, imageHash, expiresAt, createdAt };
}

export function toStored(entry: ReferenceEntry, subjectId: string, embedding: Float32Array): StoredReference {
  return { ...toReference(entry, subjectId), embedding };
}
