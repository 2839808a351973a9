import type { Gallery } from '../gallery.types';

/** How an exported gallery is written. */
export const EXPORT_FORMATS = ['jsonl', 'binary'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export const EXPORT_NAME = 'likeness-gallery';
export const EXPORT_VERSION = 1;
/** First bytes of the binary form. */
export const BINARY_MAGIC = Buffer.from('\x89LKG\r\n\x1a\n', 'latin1');

/** Begins an export. The settings say how the gallery was; an import does not change those of its own. */
export interface ExportHeader {
  format: typeof EXPORT_NAME;
  version: number;
  gallery: Omit<Gallery, 'subjectCount' | 'referenceCount'>;
}

/** Ends an export: what has no such end was cut off. */
export interface ExportEnd {
  recordCount: number;
}

/** Kinds of the frames of the binary form, as their first byte. */
export const FRAME = { header: 1, subject: 2, reference: 3, end: 4 } as const;

/** Bytes before a frame: the length of what follows them and its crc32, uint32 little-endian each. */
export const FRAME_HEAD_BYTES = 8;
/** Longest frame and longest line: far above any record with the longest embedding. */
export const MAX_FRAME_BYTES = 2 ** 20;
