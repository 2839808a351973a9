import type { FacePose } from '../../pipeline/face.types';
import type { FaceQuality, Metadata, NewGallery } from '../gallery.types';
import type { RecordContent } from '../state/entries';

/** What of a gallery comes back from the file. */
export type StoredGallery = NewGallery & { uid: number; createdAt: number; updatedAt: number };
/** A subject or a reference, by position, to be short. */
export type SubjectFields = [
  uid: number,
  galleryUid: number,
  id: string,
  metadata: Metadata,
  createdAt: number,
  updatedAt: number,
];
export type ReferenceFields = [
  /** D of the embedding, which lies behind the JSON. */
  dimensions: number,
  uid: number,
  subjectUid: number,
  id: string,
  metadata: Metadata,
  quality: QualityFields | null,
  imageHash: string | null,
  createdAt: number,
];
type QualityFields = [
  detectionScore: number,
  faceSizePx: number,
  sharpness: number | null,
  brightness: number | null,
  pose: [yaw: number, pitch: number, roll: number] | null,
];

interface FieldsOf {
  gallery: StoredGallery;
  subject: SubjectFields;
  reference: ReferenceFields;
}

/** Bytes before the JSON: its length. */
const HEAD_BYTES = 4;
const NO_EMBEDDING = new Uint8Array(0);

/** One record as it goes into a bundle. */
export interface EncodedRecord {
  kind: RecordContent['kind'];
  json: string;
  /** Float32 [D]; empty where there is none. */
  embedding: Uint8Array;
}

/** The records of a bundle. */
export interface DecodedBundle<K extends RecordContent['kind']> {
  fields: FieldsOf[K][];
  /** Float32Array: the embeddings of the references, one after the other. A view of the content. */
  embeddings: Float32Array;
}

export function encodeRecord(content: RecordContent): EncodedRecord {
  const { kind } = content;
  switch (kind) {
    case 'gallery': {
      const { record: _record, ...gallery } = content.gallery;
      return { kind, json: JSON.stringify({ ...gallery, state: undefined }), embedding: NO_EMBEDDING };
    }
    case 'subject': {
      const { uid, id, metadata, createdAt, updatedAt } = content.subject;
      const fields: SubjectFields = [uid, content.galleryUid, id, metadata, createdAt, updatedAt];
      return { kind, json: JSON.stringify(fields), embedding: NO_EMBEDDING };
    }
    case 'reference': {
      const { uid, id, metadata, quality, imageHash, createdAt } = content.reference;
      const { buffer, byteOffset, byteLength, length } = content.embedding;
      const fields: ReferenceFields = [
        length,
        uid,
        content.subjectUid,
        id,
        metadata,
        quality && encodeQuality(quality),
        imageHash,
        createdAt,
      ];
      return {
        kind,
        json: JSON.stringify(fields),
        embedding: new Uint8Array(buffer, byteOffset, byteLength),
      };
    }
  }
}

/**
 * Records of one kind as they are sealed: the length of the JSON (uint32), the JSON, which is an array of all of them and is
 * filled with blanks to a multiple of four bytes, and the embeddings (float32), all little-endian.
 */
export function encodeBundle(records: readonly EncodedRecord[]): Buffer {
  const json = `[${records.map((record) => record.json).join(',')}]`;
  const jsonBytes = Math.ceil(Buffer.byteLength(json) / 4) * 4;
  const embeddingBytes = records.reduce((sum, { embedding }) => sum + embedding.length, 0);
  const content = Buffer.allocUnsafe(HEAD_BYTES + jsonBytes + embeddingBytes);
  content.writeUInt32LE(jsonBytes);
  let at = HEAD_BYTES + content.write(json, HEAD_BYTES);
  content.fill(' ', at, HEAD_BYTES + jsonBytes);
  at = HEAD_BYTES + jsonBytes;
  for (const { embedding } of records) {
    content.set(embedding, at);
    at += embedding.length;
  }
  return content;
}

export function decodeBundle<K extends RecordContent['kind']>(_kind: K, content: Buffer): DecodedBundle<K> {
  const embeddingsAt = HEAD_BYTES + content.readUInt32LE(0);
  const fields = JSON.parse(content.toString('utf8', HEAD_BYTES, embeddingsAt)) as FieldsOf[K][];
  const bytes = content.subarray(embeddingsAt);
  // What a cipher gives has a memory of its own, so that this is aligned.
  const embeddings = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return { fields, embeddings };
}

/** The records of a bundle, to go into others. */
export function splitBundle(kind: RecordContent['kind'], content: Buffer): EncodedRecord[] {
  if (kind !== 'reference') {
    const { fields } = decodeBundle(kind, content);
    return fields.map((record) => ({ kind, json: JSON.stringify(record), embedding: NO_EMBEDDING }));
  }
  const { fields, embeddings } = decodeBundle(kind, content);
  const { buffer, byteOffset } = embeddings;
  let at = byteOffset;
  return fields.map((record) => {
    const embedding = new Uint8Array(buffer, at, record[0] * 4);
    at += embedding.length;
    return { kind, json: JSON.stringify(record), embedding };
  });
}

function encodeQuality(quality: FaceQuality): QualityFields {
  const { detectionScore, faceSizePx, sharpness, brightness, pose } = quality;
  return [detectionScore, faceSizePx, sharpness, brightness, pose && [pose.yaw, pose.pitch, pose.roll]];
}

export function decodeQuality(fields: QualityFields | null): FaceQuality | null {
  if (fields === null) return null;
  const [detectionScore, faceSizePx, sharpness, brightness, pose] = fields;
  return { detectionScore, faceSizePx, sharpness, brightness, pose: pose && decodePose(pose) };
}

function decodePose([yaw, pitch, roll]: [number, number, number]): FacePose {
  return { yaw, pitch, roll };
}
