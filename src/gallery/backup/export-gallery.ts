import { crc32 } from 'node:zlib';
import {
  BINARY_MAGIC,
  EXPORT_NAME,
  EXPORT_VERSION,
  type ExportFormat,
  type ExportHeader,
  FRAME,
  FRAME_HEAD_BYTES,
} from './gallery-file';
import type { GalleryStore } from '../stores/gallery-store';
import type { StoredReference } from '../gallery.types';

/** Bytes collected before a chunk is yielded. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Exports a gallery in chunks, as fast as they are consumed.
 *
 * `jsonl`: a line of JSON each for the header, every subject (`{"subject": …}`), every reference (`{"reference": …}`, its
 * embedding as base64 of little-endian float32) and the end (`{"end": {"recordCount": …}}`).
 *
 * `binary`: eight magic bytes, then the same records as frames: length and crc32 of the body (uint32 little-endian), then the
 * body: one byte for the kind and JSON; for a reference the length of its JSON (uint32), the JSON, and the float32 values.
 *
 * @throws {FaceError} GALLERY_NOT_FOUND, also if the gallery is deleted meanwhile: the output then has no end record.
 */
export async function* exportGallery(
  store: GalleryStore,
  galleryId: string,
  format: ExportFormat,
): AsyncGenerator<Buffer> {
  const {
    subjectCount: _subjects,
    referenceCount: _references,
    ...gallery
  } = await store.getGallery(galleryId);
  const header: ExportHeader = { format: EXPORT_NAME, version: EXPORT_VERSION, gallery };
  const write = format === 'jsonl' ? JSON_LINES : BINARY;
  let pieces: Buffer[] = [write.header(header)];
  let bytes = 0;
  let recordCount = 0;
  for await (const record of store.exportRecords(galleryId)) {
    const piece =
      record.kind === 'subject' ? write.subject(record.subject) : write.reference(record.reference);
    recordCount++;
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(pieces);
    pieces = [];
    bytes = 0;
  }
  yield Buffer.concat([...pieces, write.end({ recordCount })]);
}

const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);

const JSON_LINES = {
  header: line,
  subject: (subject: object) => line({ subject }),
  reference: ({ embedding, ...reference }: StoredReference) =>
    line({ reference: { ...reference, embedding: bytesOf(embedding).toString('base64') } }),
  end: (end: object) => line({ end }),
};

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

const BINARY = {
  header: (header: object) => Buffer.concat([BINARY_MAGIC, frame(FRAME.header, json(header))]),
  subject: (subject: object) => frame(FRAME.subject, json(subject)),
  reference: ({ embedding, ...reference }: StoredReference) => {
    const fields = json(reference);
    return frame(FRAME.reference, uint32(fields.length), fields, bytesOf(embedding));
  },
  end: (end: object) => frame(FRAME.end, json(end)),
};

function frame(kind: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([kind]), ...parts]);
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(crc32(body), 4);
  return Buffer.concat([head, body]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A view. */
function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
