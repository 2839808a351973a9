import { inflateSync } from 'node:zlib';

/**
 * Largest inflated size of the compressed text of a PNG, in bytes. The decoder inflates all of it before the first
 * pixel, and copies it: 154 kB of such chunks took 763 MB. The largest legitimate ones are profiles and XMP of some
 * hundred kilobytes.
 */
export const MAX_PNG_TEXT_BYTES = 4 * 1024 * 1024;

/** Most compressed text chunks: the decoder inflates damaged ones as well, and then discards them. */
const MAX_CHUNKS = 64;
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Whether the compressed text of a PNG stays within {@link MAX_PNG_TEXT_BYTES}. True for other files. */
export function isPngTextBounded(file: Uint8Array): boolean {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return true;
  let left = MAX_PNG_TEXT_BYTES;
  let count = 0;
  for (let at = SIGNATURE.length; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const compressed = compressedText(type, bytes.subarray(at + 8, at + 8 + length));
    if (compressed != null) {
      if (++count > MAX_CHUNKS) return false;
      left -= inflatedBytes(compressed, left);
      if (left <= 0) return false;
    }
    if (type === 'IEND') break;
    at += 12 + length;
  }
  return true;
}

/** @see PNG specification, third edition, 11.3.3: a keyword that ends in 0, then data by the type of the chunk. */
function compressedText(type: string, data: Buffer): Buffer | null {
  if (type !== 'zTXt' && type !== 'iTXt') return null;
  const keyword = data.indexOf(0);
  if (keyword < 0) return null;
  if (type === 'zTXt') return data.subarray(keyword + 2);
  if (data[keyword + 1] !== 1) return null;
  const language = data.indexOf(0, keyword + 3);
  const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
  return translated < 0 ? null : data.subarray(translated + 1);
}

/** Inflated size in bytes, at most `limit`; 0 for damaged data, which the decoder drops. */
function inflatedBytes(data: Buffer, limit: number): number {
  try {
    return inflateSync(data, { maxOutputLength: limit }).byteLength;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? limit : 0;
  }
}
