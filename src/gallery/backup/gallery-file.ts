import type { Gallery } from '../gallery.types';

/** Formats of an exported gallery. */
export const EXPORT_FORMATS = ['jsonl', 'binary'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export const EXPORT_NAME = 'likeness-gallery';
export const EXPORT_VERSION = 1;
/** First bytes of the binary format. */
export const BINARY_MAGIC = Buffer.from('\x89LKG\r\n\x1a\n', 'latin1');

/** First record of an export. Its settings are informative: an import does not change those of the target. */
export interface ExportHeader {
  format: typeof EXPORT_NAME;
  version: number;
  gallery: Omit<Gallery, 'subjectCount' | 'referenceCount'>;
}

/** Last record of an export: without it the file is truncated. */
export interface ExportEnd {
  recordCount: number;
}

/** Kinds of frames of the binary format: their first byte. */
export const FRAME = { header: 1, subject: 2, reference: 3, end: 4 } as const;

/** Size of a frame header: length and crc32 of the body, uint32 little-endian each. */
export const FRAME_HEAD_BYTES = 8;
/** Maximum length of a frame or line: far above any record with the longest embedding. */
export const MAX_FRAME_BYTES = 2 ** 20;
