import { readSettings } from '../stored-settings';
import type { ReferenceEntry, SubjectDetails } from '../state/entries';
import type { GalleryEntry } from '../state/gallery-entry';
import type { EntryVersion } from './entry-log';

/** What the entry of a gallery holds. */
export interface GalleryContent {
  /** Without `uid`, as before 2026-11-29: it is the revision of the first version. */
  gallery: Omit<GalleryEntry, 'state' | 'record' | 'uid'> & { uid?: number };
  /** Random key under which the entries of its subjects are sealed, base64. */
  key: string;
}

/** A subject with all that is its own. */
export interface SubjectContent {
  /** `uid` is the revision of the first version, which cannot name it. */
  details: Omit<SubjectDetails, 'record' | 'uid'> & { uid?: number };
  references: ContentReference[];
}

export interface ContentReference extends Omit<ReferenceEntry, 'record' | 'subject' | 'row'> {
  /** Float32Array [D]. Not to be kept. */
  embedding: Float32Array;
}

/** The entry of a subject that takes the place of another. */
export interface Move {
  /** Last part of the key of the other, which is gone with this version. */
  from: string;
  /** The version that it takes the place of: where the other has a later one, the move was too late and counts for nothing. */
  version: EntryVersion;
}

/** What the entry of a subject holds. */
export interface SubjectEntryContent extends SubjectContent {
  move?: Move;
  /** What holds where the move counts for nothing; `null`: no subject. */
  fallback?: SubjectContent | null;
}

/** Bytes before the JSON: how many it has. */
const HEAD_BYTES = 4;
/** Of an embedding. */
const FLOAT_BYTES = 4;

export function encodeGallery({ gallery, key }: GalleryContent): Uint8Array {
  return Buffer.from(JSON.stringify({ gallery, key }));
}

export function decodeGallery(content: Buffer): GalleryContent {
  const { gallery, key } = JSON.parse(content.toString('utf8')) as GalleryContent;
  return { gallery: readSettings(gallery), key };
}

/**
 * Little-endian: bytes of the JSON (uint32), the JSON with blanks up to a multiple of four bytes, the embeddings of all
 * references (float32).
 */
export function encodeSubject({ details, references, move, fallback }: SubjectEntryContent): Uint8Array {
  const all = [...references, ...(fallback?.references ?? [])];
  const json = JSON.stringify({
    details,
    references: references.map(withoutEmbedding),
    move,
    fallback: fallback && { ...fallback, references: fallback.references.map(withoutEmbedding) },
  });
  const jsonBytes = Math.ceil(Buffer.byteLength(json) / FLOAT_BYTES) * FLOAT_BYTES;
  const embeddingBytes = all.reduce((sum, { embedding }) => sum + embedding.byteLength, 0);
  const content = Buffer.alloc(HEAD_BYTES + jsonBytes + embeddingBytes, ' ');
  content.writeUInt32LE(jsonBytes, 0);
  content.write(json, HEAD_BYTES);
  let at = HEAD_BYTES + jsonBytes;
  for (const { embedding } of all) {
    content.set(new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength), at);
    at += embedding.byteLength;
  }
  return content;
}

/**
 * @param dimensions - of every embedding, D.
 * @param content - begins its memory, or lies at a multiple of four bytes in it.
 */
export function decodeSubject(content: Buffer, dimensions: number): SubjectEntryContent {
  const jsonEnd = HEAD_BYTES + content.readUInt32LE(0);
  const read = JSON.parse(content.toString('utf8', HEAD_BYTES, jsonEnd)) as SubjectEntryContent;
  let at = content.byteOffset + jsonEnd;
  for (const reference of [...read.references, ...(read.fallback?.references ?? [])]) {
    reference.embedding = new Float32Array(content.buffer, at, dimensions);
    at += dimensions * FLOAT_BYTES;
  }
  return read;
}

function withoutEmbedding({ embedding: _embedding, ...reference }: ContentReference): object {
  return reference;
}
