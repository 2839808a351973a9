import type { FaceQuality, Metadata, NewGallery } from '../gallery.types';
import type { RecordContent } from '../state/entries';

/** What of a record comes back from the file. */
export type StoredGallery = NewGallery & { uid: number; createdAt: number; updatedAt: number };

export interface StoredSubject {
  uid: number;
  galleryUid: number;
  id: string;
  metadata: Metadata;
  createdAt: number;
  updatedAt: number;
}

export interface StoredReference {
  uid: number;
  subjectUid: number;
  id: string;
  metadata: Metadata;
  quality: FaceQuality | null;
  imageHash: string | null;
  createdAt: number;
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

export function decodeReference(content: Buffer): StoredReference {
  const [uid, subjectUid, id, metadata, quality, imageHash, createdAt] = JSON.parse(
    content.toString('utf8', 4, embeddingAt(content)),
  ) as ReferenceFields;
  return { uid, subjectUid, id, metadata, quality, imageHash, createdAt };
}

let scratch = new Float32Array(0);

/** Of a reference, Float32Array [D]: good until the next call, since a hundred thousand are read at a start. */
export function decodeEmbedding(content: Buffer): Float32Array {
  const bytes = content.subarray(embeddingAt(content));
  if (scratch.byteLength !== bytes.length) scratch = new Float32Array(bytes.length / 4);
  new Uint8Array(scratch.buffer).set(bytes);
  return scratch;
}

function embeddingAt(content: Buffer): number {
  return 4 + content.readUInt32LE(0);
}
