import { basename } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { FaceError } from '../../errors';

/** The largest pack (antelopev2) has 407 MB. The installer of InsightFace has the same limits. */
export const MAX_PACK_BYTES = 400 * 1024 ** 2;
export const MAX_FILE_BYTES = 256 * 1024 ** 2;
/** Packs have about five entries. */
const MAX_ENTRIES = 1000;

/** File type in the upper half of the external attributes of a zip made on Unix (POSIX stat.h). */
const TYPE_MASK = 0o170000;
const SYMBOLIC_LINK = 0o120000;

/** One file to extract from a zip. */
export interface WantedEntry {
  /** File name, without folders. */
  name: string;
  /** Receives the content in chunks. An error thrown here ends the extraction. */
  save(content: AsyncIterable<Uint8Array>): Promise<unknown>;
}

/**
 * Extracts some files of a zip. Every entry is checked before the first is read; folder names in the zip are ignored.
 *
 * @param path - of the zip, at most {@link MAX_PACK_BYTES}.
 * @throws {FaceError} MODEL_ARCHIVE_INVALID if it is no zip or damaged, if it has a link, an encrypted entry or a path
 * that leaves it, if a requested name does not match exactly one file, or if that file exceeds {@link MAX_FILE_BYTES}.
 */
export async function extractEntries(path: string, wanted: readonly WantedEntry[]): Promise<void> {
  const file = basename(path);
  let zip: ZipFile | null = null;
  try {
    zip = await openPromise(path, { autoClose: false, strictFileNames: true });
    if (zip.fileSize > MAX_PACK_BYTES) throw new Error(`it has more than ${MAX_PACK_BYTES} bytes`);
    const entries = await listEntries(zip, new Set(wanted.map(({ name }) => name)));
    for (const { name, save } of wanted) {
      const entry = entries.get(name);
      if (entry == null) throw new Error(`it has no file ${name}`);
      await save(contentOf(zip, entry));
    }
  } catch (error) {
    // Disk errors describe themselves.
    if (error instanceof FaceError || (error instanceof Error && 'syscall' in error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `The pack ${file} cannot be used: ${reason.replace(/\.$/, '')}.`;
    throw new FaceError('MODEL_ARCHIVE_INVALID', message, { file });
  } finally {
    zip?.close();
  }
}

/** The requested entries by name, after a check of all entries. */
async function listEntries(zip: ZipFile, wanted: ReadonlySet<string>): Promise<Map<string, Entry>> {
  if (zip.entryCount > MAX_ENTRIES) throw new Error(`it has more than ${MAX_ENTRIES} entries`);
  const found = new Map<string, Entry>();
  // Absolute paths, `..` and backslashes are refused by the reader.
  for await (const entry of zip.eachEntry()) {
    const { fileName } = entry;
    if (entry.isEncrypted()) throw new Error(`${fileName} is encrypted`);
    if (((entry.externalFileAttributes >>> 16) & TYPE_MASK) === SYMBOLIC_LINK)
      throw new Error(`${fileName} is a link`);
    const name = fileName.slice(fileName.lastIndexOf('/') + 1);
    if (!wanted.has(name)) continue;
    if (found.has(name)) throw new Error(`it has two files ${name}`);
    if (entry.uncompressedSize > MAX_FILE_BYTES)
      throw new Error(`${name} has more than ${MAX_FILE_BYTES} bytes`);
    found.set(name, entry);
  }
  return found;
}

/** The reader stops at the size in the entry, but does not verify the checksum. */
async function* contentOf(zip: ZipFile, entry: Entry): AsyncGenerator<Uint8Array, void, void> {
  let crc = 0;
  const stream = await zip.openReadStreamPromise(entry);
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (crc !== entry.crc32) throw new Error(`the checksum (CRC-32) of ${entry.fileName} is wrong`);
}
