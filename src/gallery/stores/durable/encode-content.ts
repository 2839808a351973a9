import type { FaceQuality, GallerySettings, Metadata } from '../../gallery.types';
import { type LaterFields, packMetadata, unpackMetadata } from '../packed-metadata';
import { readSettings } from '../stored-settings';
import { NO_METADATA, type ReferenceEntry, type SubjectDetails } from '../state/entries';
import type { GalleryEntry } from '../state/gallery-entry';

/** Content of a record. */
export type RecordContent =
  | { kind: 'gallery'; gallery: GalleryEntry }
  | { kind: 'subject'; galleryUid: number; subject: SubjectDetails }
  | { kind: 'crop'; uid: number; content: Uint8Array }
  | { kind: 'reference'; subjectUid: number; reference: ReferenceEntry; embedding: Float32Array };

/** Decoded content of a record. */
export type StoredGallery = Omit<GalleryEntry, 'record' | 'state'>;
export type StoredSubject = SubjectDetails & { galleryUid: number };
export interface StoredReference extends Omit<ReferenceEntry, 'subject' | 'row' | 'crop'> {
  subjectUid: number;
  /** `null` without a crop. */
  cropUid: number | null;
  /** Float32Array [D], a view of the bundle's content: copy it to keep it. */
  embedding: Float32Array;
}

/** A record encoded for a bundle. */
export interface EncodedRecord {
  kind: RecordContent['kind'];
  /** All other fields: JSON values, separated by commas. */
  json: string;
  /** Numeric fields; NaN stands for `null`. */
  numbers: readonly number[];
  /** Float32 [D], little-endian; the encoded image of a crop; empty for other records. */
  embedding: Uint8Array;
  /** Uid, only of a crop. */
  uid?: number;
}

/** Number of JSON values and numbers per record of each kind. */
const SHAPES = {
  gallery: { valueCount: 1, numberCount: 0 },
  subject: { valueCount: 2, numberCount: 4 },
  crop: { valueCount: 0, numberCount: 0 },
  reference: { valueCount: 3, numberCount: 11 },
} as const;
/** Position of the embedding's length among the numbers of a reference. */
const DIMENSIONS_AT = 0;
/** Bytes before the numbers: the lengths of the numbers and of the JSON. */
const HEAD_BYTES = 8;
const NO_EMBEDDING = new Uint8Array(0);

export function encodeRecord(content: RecordContent): EncodedRecord {
  const { kind } = content;
  switch (kind) {
    case 'gallery': {
      const { record: _record, state: _state, ...gallery } = content.gallery;
      const json = JSON.stringify(gallery);
      return { kind, json, numbers: [], embedding: NO_EMBEDDING };
    }
    case 'subject': {
      const { uid, id, metadata, createdAt, updatedAt } = content.subject;
      const { consentRef, purpose, expiresAt, lastMatchedAt } = content.subject;
      const later = { consentRef, purpose, expiresAt, lastMatchedAt };
      const json = `${JSON.stringify(id)},${encodeMetadata(metadata, later)}`;
      const numbers = [uid, content.galleryUid, createdAt, updatedAt];
      return { kind, json, numbers, embedding: NO_EMBEDDING };
    }
    case 'crop':
      return { kind, json: '', numbers: [], embedding: content.content, uid: content.uid };
    case 'reference': {
      const { uid, id, metadata, quality, imageHash, expiresAt, crop, createdAt } = content.reference;
      const later = { expiresAt, cropUid: crop?.uid ?? null };
      const { buffer, byteOffset, byteLength, length } = content.embedding;
      const json = `${JSON.stringify(id)},${encodeMetadata(metadata, later)},${JSON.stringify(imageHash)}`;
      const numbers = [length, uid, content.subjectUid, createdAt, ...encodeQuality(quality)];
      return { kind, json, numbers, embedding: new Uint8Array(buffer, byteOffset, byteLength) };
    }
  }
}

/**
 * Encodes records of one kind for sealing. Layout, little-endian: lengths of the numbers and of the JSON in bytes (uint32 each),
 * the numbers of all records (float64), one array of all their JSON values padded with spaces to a multiple of four bytes, all
 * embeddings (float32). A crop is alone, and encoded as it is.
 */
export function encodeBundle(records: readonly EncodedRecord[]): Uint8Array {
  if (records[0].kind === 'crop') return records[0].embedding;
  const numbers = Float64Array.from(records.flatMap((record) => record.numbers));
  const json = `[${records.map((record) => record.json).join(',')}]`;
  const jsonBytes = Math.ceil(Buffer.byteLength(json) / 4) * 4;
  const embeddingBytes = records.reduce((sum, { embedding }) => sum + embedding.length, 0);
  const jsonAt = HEAD_BYTES + numbers.byteLength;
  const content = Buffer.allocUnsafe(jsonAt + jsonBytes + embeddingBytes);
  content.writeUInt32LE(numbers.byteLength, 0);
  content.writeUInt32LE(jsonBytes, 4);
  content.set(new Uint8Array(numbers.buffer), HEAD_BYTES);
  content.fill(' ', jsonAt + content.write(json, jsonAt), jsonAt + jsonBytes);
  let at = jsonAt + jsonBytes;
  for (const { embedding } of records) {
    content.set(embedding, at);
    at += embedding.length;
  }
  return content;
}

export function decodeGalleries(content: Buffer): StoredGallery[] {
  // Records of older versions lack settings added later.
  const settings: Partial<GallerySettings> = {
    targetFmr: null,
    targetFpir: null,
    maxSubjects: null,
    maxAgeSeconds: null,
    sinceLastMatchSeconds: null,
    matchesSince: null,
    keepCrops: false,
  };
  return readParts(content).values.map((value) => ({ ...settings, ...readSettings(value as StoredGallery) }));
}

export function decodeSubjects(content: Buffer): StoredSubject[] {
  const { values, numbers } = readParts(content);
  const { valueCount, numberCount } = SHAPES.subject;
  const subjects: StoredSubject[] = [];
  for (let v = 0, n = 0; v < values.length; v += valueCount, n += numberCount)
    subjects.push({
      uid: numbers[n],
      galleryUid: numbers[n + 1],
      id: values[v] as string,
      consentRef: null,
      purpose: null,
      expiresAt: null,
      lastMatchedAt: null,
      ...decodeMetadata(values[v + 1]),
      createdAt: numbers[n + 2],
      updatedAt: numbers[n + 3],
    });
  return subjects;
}

export function decodeReferences(content: Buffer): StoredReference[] {
  const { values, numbers, embeddings } = readParts(content);
  const { valueCount, numberCount } = SHAPES.reference;
  const references: StoredReference[] = [];
  let embeddingAt = 0;
  for (let v = 0, n = 0; v < values.length; v += valueCount, n += numberCount)
    references.push({
      uid: numbers[n + 1],
      subjectUid: numbers[n + 2],
      id: values[v] as string,
      expiresAt: null,
      cropUid: null,
      ...decodeMetadata(values[v + 1]),
      quality: decodeQuality(numbers, n + 4),
      imageHash: values[v + 2] as string | null,
      createdAt: numbers[n + 3],
      embedding: embeddings.subarray(embeddingAt, (embeddingAt += numbers[n + DIMENSIONS_AT])),
    });
  return references;
}

/** Splits a bundle into its records, to be packed into others. */
export function splitBundle(kind: RecordContent['kind'], content: Buffer): EncodedRecord[] {
  const { values, numbers, embeddings } = readParts(content);
  const { valueCount, numberCount } = SHAPES[kind];
  let at = embeddings.byteOffset;
  return Array.from({ length: values.length / valueCount }, (_, i): EncodedRecord => {
    const ofRecord = [...numbers.subarray(i * numberCount, (i + 1) * numberCount)];
    const bytes = kind === 'reference' ? ofRecord[DIMENSIONS_AT] * 4 : 0;
    const embedding = new Uint8Array(embeddings.buffer, at, bytes);
    at += bytes;
    const json = JSON.stringify(values.slice(i * valueCount, (i + 1) * valueCount)).slice(1, -1);
    return { kind, json, numbers: ofRecord, embedding };
  });
}

function readParts(content: Buffer): { values: unknown[]; numbers: Float64Array; embeddings: Float32Array } {
  const jsonAt = HEAD_BYTES + content.readUInt32LE(0);
  const embeddingsAt = jsonAt + content.readUInt32LE(4);
  // The output of a cipher starts its own buffer, so all parts are aligned.
  const { buffer, byteOffset } = content;
  return {
    values: JSON.parse(content.toString('utf8', jsonAt, embeddingsAt)) as unknown[],
    numbers: new Float64Array(buffer, byteOffset + HEAD_BYTES, (jsonAt - HEAD_BYTES) / 8),
    embeddings: new Float32Array(buffer, byteOffset + embeddingsAt, (content.length - embeddingsAt) / 4),
  };
}

/** Empty metadata is 0. */
function encodeMetadata(metadata: Metadata, later: LaterFields): string {
  return JSON.stringify(packMetadata(Object.keys(metadata).length === 0 ? 0 : metadata, later));
}

function decodeMetadata(value: unknown): { metadata: Metadata } & LaterFields {
  const { metadata, later } = unpackMetadata(value);
  return { ...later, metadata: metadata === 0 ? NO_METADATA : (metadata as Metadata) } as {
    metadata: Metadata;
  } & LaterFields;
}

function encodeQuality(quality: FaceQuality | null): number[] {
  const { detectionScore = NaN, faceSizePx = NaN, sharpness, brightness, pose } = quality ?? {};
  const { yaw = NaN, pitch = NaN, roll = NaN } = pose ?? {};
  return [detectionScore, faceSizePx, sharpness ?? NaN, brightness ?? NaN, yaw, pitch, roll];
}

function decodeQuality(numbers: Float64Array, at: number): FaceQuality | null {
  if (Number.isNaN(numbers[at])) return null;
  const [sharpness, brightness, yaw] = [numbers[at + 2], numbers[at + 3], numbers[at + 4]];
  return {
    detectionScore: numbers[at],
    faceSizePx: numbers[at + 1],
    sharpness: Number.isNaN(sharpness) ? null : sharpness,
    brightness: Number.isNaN(brightness) ? null : brightness,
    pose: Number.isNaN(yaw) ? null : { yaw, pitch: numbers[at + 5], roll: numbers[at + 6] },
  };
}
