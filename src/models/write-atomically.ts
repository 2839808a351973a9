import { randomBytes } from 'node:crypto';
import { chmod, chown, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A file that is written and not yet there for anyone. */
export interface TemporaryFile {
  readonly path: string;
  /** Puts it in its place, over what is there. */
  publish(): Promise<void>;
  /** Removes it; does nothing once it is published. */
  discard(): Promise<void>;
}

/**
 * Writes a file beside its place, under a name of its own. On failure nothing is left behind.
 *
 * @param path - its place.
 * @param pieces - what is written, one after the other.
 * @param mode - permissions of the file, less those that the umask takes away.
 */
export async function writeTemporary(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  mode = 0o666,
): Promise<TemporaryFile> {
  const unique = `${process.pid}-${randomBytes(6).toString('hex')}`;
  const temporary = join(dirname(path), `.${basename(path)}.${unique}.tmp`);
  const discard = () => rm(temporary, { force: true });
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      for await (const piece of pieces) await file.writeFile(piece);
      // A rename may reach the disk before the data does; after a power cut the file would be there, and empty.
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await discard();
    throw error;
  }
  return { path: temporary, publish: () => rename(temporary, path), discard };
}

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
  const temporary = await writeTemporary(path, bytes instanceof Uint8Array ? [bytes] : bytes);
  try {
    await temporary.publish();
  } catch (error) {
    await temporary.discard();
    throw error;
  }
}

/**
 * As {@link writeAtomically}, for a file that its owner alone may read. One that is replaced keeps its owner and permissions:
 * root may write a file that the user of the service reads.
 */
export async function writeSecretAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(path, [bytes], 0o600);
  try {
    const replaced = await stat(path).catch(() => null);
    if (replaced != null) {
      await chown(temporary.path, replaced.uid, replaced.gid);
      await chmod(temporary.path, replaced.mode & 0o777);
    }
    await temporary.publish();
  } catch (error) {
    await temporary.discard();
    throw error;
  }
}
