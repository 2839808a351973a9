import { readSettings } from '../stored-settings';
import type { ReferenceEntry, SubjectDetails } from '../state/entries';
import type { GalleryEntry } from '../state/gallery-entry';
import type { EntryVersion } from './entry-log';

/** Content of a gallery's entry. */
export interface GalleryContent {
  /** Entries from before 2026-11-29 have no `uid`: it is the revision of their first version. */
  gallery: Omit<GalleryEntry, 'state' | 'record' | 'uid'> & { uid?: number };
  /** Random key that seals the entries of its subjects, base64. */
  key: string;
}

/** A subject with its references. */
export interface SubjectContent {
  /** The first version has no `uid`: its revision becomes the uid, which its writer cannot know yet. */
  details: Omit<SubjectDetails, 'record' | 'uid'> & { uid?: number };
  references: ContentReference[];
}

export interface ContentReference extends Omit<ReferenceEntry, 'record' | 'subject' | 'row'> {
  /** Float32Array [D]; may be a view of a larger buffer: copy it to keep it. */
  embedding: Float32Array;
}

/** Rename or merge of one subject into another, part of the target's entry. */
export interface Move {
  /** Last part of the key of the source subject, which this version removes. */
  from: string;
  /** Last version of the source known to the writer. If the source has a later one, the move was too late and is void. */
  version: EntryVersion;
}

/** Content of a subject's entry. */
export interface SubjectEntryContent extends SubjectContent {
  move?: Move;
  /** Content that holds if the move is void; `null`: no subject. */
  fallback?: SubjectContent | null;
}

/** Bytes before the JSON: its length. */
const HEAD_BYTES = 4;
/** Bytes per element of an embedding. */
const FLOAT_BYTES = 4;

export function encodeGallery({ gallery, key }: GalleryContent): Uint8Array {
  return Buffer.from(JSON.stringify({ gallery, key }));
}

export function decodeGallery(content: Buffer): GalleryContent {
  const { gallery, key } = JSON.parse(content.toString('utf8')) as GalleryContent;
  return { gallery: readSettings(gallery), key };
}

/**
 * Layout, little-endian: length of the JSON in bytes (uint32), the JSON padded with spaces to a multiple of four bytes, the
 * embeddings of all references (float32).
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
 * @param dimensions - length of every embedding, D.
 * @param content - aligned to four bytes in its buffer.
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
