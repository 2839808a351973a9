import type { FaceQuality, GallerySettings, Metadata } from '../../gallery.types';
import { type LaterFields, packMetadata, unpackMetadata } from '../packed-metadata';
import { readSettings } from '../stored-settings';
import type { ReferenceEntry, SubjectDetails } from '../state/entries';
import type { GalleryEntry } from '../state/gallery-entry';

/** What is written of an entry. */
export type RecordContent =
  | { kind: 'gallery'; gallery: GalleryEntry }
  | { kind: 'subject'; galleryUid: number; subject: SubjectDetails }
  | { kind: 'crop'; uid: number; content: Uint8Array }
  | { kind: 'reference'; subjectUid: number; reference: ReferenceEntry; embedding: Float32Array };

/** What comes back of it. */
export type StoredGallery = Omit<GalleryEntry, 'record' | 'state'>;
export type StoredSubject = SubjectDetails & { galleryUid: number };
export interface StoredReference extends Omit<ReferenceEntry, 'subject' | 'row' | 'crop'> {
  subjectUid: number;
  /** `null` where it has no crop. */
  cropUid: number | null;
  /** Float32Array [D]. Not to be kept. */
  embedding: Float32Array;
}

/** One record as it goes into a bundle. */
export interface EncodedRecord {
  kind: RecordContent['kind'];
  /** What is no number: JSON values, with commas between them. */
  json: string;
  /** Numbers; NaN stands for `null`. */
  numbers: readonly number[];
  /** Float32 [D], little-endian; of a crop its encoded image; empty where there is none. */
  embedding: Uint8Array;
  /** Of a crop. */
  uid?: number;
}

/** How many JSON values and numbers a record of each kind has. */
const SHAPES = {
  gallery: { valueCount: 1, numberCount: 0 },
  subject: { valueCount: 2, numberCount: 4 },
  crop: { valueCount: 0, numberCount: 0 },
  reference: { valueCount: 3, numberCount: 11 },
} as const;
/** Where the length of the embedding stands among the numbers of a reference. */
const DIMENSIONS_AT = 0;
/** Bytes before the numbers: how many bytes those and the JSON have. */
const HEAD_BYTES = 8;
const NO_EMBEDDING = new Uint8Array(0);
/** For all that have none, which most references do not: 0 in the JSON. */
const NO_METADATA: Metadata = Object.freeze({});

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
 * Records of one kind as they are sealed, little-endian: bytes of the numbers and of the JSON (uint32), the numbers of all
 * records (float64), an array of all their JSON values with blanks up to a multiple of four bytes, all embeddings (float32).
 * A crop is alone, and sealed as it is.
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
  // Records of older versions lack the settings that came later.
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

/** The records of a bundle, to go into others. */
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
  // What a cipher gives begins its memory, so that all parts are aligned.
  const { buffer, byteOffset } = content;
  return {
    values: JSON.parse(content.toString('utf8', jsonAt, embeddingsAt)) as unknown[],
    numbers: new Float64Array(buffer, byteOffset + HEAD_BYTES, (jsonAt - HEAD_BYTES) / 8),
    embeddings: new Float32Array(buffer, byteOffset + embeddingsAt, (content.length - embeddingsAt) / 4),
  };
}

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
