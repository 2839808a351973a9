import type { FaceQuality, Metadata, NewGallery } from '../gallery.types';
import type { RecordContent } from '../state/entries';

/** What of a record comes back from the file. */
export type StoredGallery = Omit<NewGallery, never> & { uid: number; createdAt: number; updatedAt: number };

export interface StoredSubject {
  uid: number;
  galleryUid: number;
  id: string;
  metadata: Metadata;
  createdAt: number;
  updatedAt: number;
}

export interface StoredReferenceContent {
  uid: number;
  subjectUid: number;
  id: string;
  metadata: Metadata;
  quality: FaceQuality | null;
  imageHash: string | null;
  createdAt: number;
  /** Float32Array [D] */
  embedding: Float32Array;
}

/** A subject or a reference as it is written: fields by position, to be short. */
type SubjectFields = [number, number, string, Metadata, number, number];
type ReferenceFields = [number, number, string, Metadata, FaceQuality | null, string | null, number];

/** Galleries and subjects are JSON. A reference is the length of its JSON (uint32), that, and the embedding (float32), all little-endian. */
export function encodeContent(content: RecordContent): Buffer {
  switch (content.kind) {
    case 'gallery': {
      const { record: _record, ...gallery } = content.gallery;
      return Buffer.from(JSON.stringify({ ...gallery, state: undefined }));
    }
    case 'subject': {
      const { uid, id, metadata, createdAt, updatedAt } = content.subject;
      const fields: SubjectFields = [uid, content.galleryUid, id, metadata, createdAt, updatedAt];
      return Buffer.from(JSON.stringify(fields));
    }
    case 'reference': {
      const { uid, id, metadata, quality, imageHash, createdAt } = content.reference;
      const fields: ReferenceFields = [uid, content.subjectUid, id, metadata, quality, imageHash, createdAt];
      const json = Buffer.from(JSON.stringify(fields));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(json.length);
      const { buffer, byteOffset, byteLength } = content.embedding;
      return Buffer.concat([length, json, new Uint8Array(buffer, byteOffset, byteLength)]);
    }
  }
}

export function decodeGallery(content: Buffer): StoredGallery {
  return JSON.parse(content.toString()) as StoredGallery;
}

export function decodeSubject(content: Buffer): StoredSubject {
  const [uid, galleryUid, id, metadata, createdAt, updatedAt] = JSON.parse(
    content.toString(),
  ) as SubjectFields;
  return { uid, galleryUid, id, metadata, createdAt, updatedAt };
}

export function decodeReference(content: Buffer): StoredReferenceContent {
  const end = 4 + content.readUInt32LE(0);
  const [uid, subjectUid, id, metadata, quality, imageHash, createdAt] = JSON.parse(
    content.toString('utf8', 4, end),
  ) as ReferenceFields;
  const embedding = new Float32Array((content.length - end) / Float32Array.BYTES_PER_ELEMENT);
  content.copy(new Uint8Array(embedding.buffer), 0, end);
  return { uid, subjectUid, id, metadata, quality, imageHash, createdAt, embedding };
}
