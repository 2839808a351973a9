import { randomBytes } from 'node:crypto';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file so that nobody ever sees a part of it: under a name of its own first, then renamed.
 *
 * Two writers of the same path do not disturb each other; the last one stays. On failure nothing is left behind.
 *
 * @param bytes - all of them, or piece by piece: what is thrown among them is a failure like any other.
 */
export async function writeAtomically(
  path: string,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  const unique = `${process.pid}-${randomBytes(6).toString('hex')}`;
  const temporary = join(dirname(path), `.${basename(path)}.${unique}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeFile(file, bytes);
      // A rename may reach the disk before the data does; after a power cut the file would be there, and empty.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
