import { randomBytes } from 'node:crypto';
import { chmod, chown, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A written file that is not yet visible under its name. */
export interface TemporaryFile {
  readonly path: string;
  /** Moves it to its path and replaces an existing file. */
  publish(): Promise<void>;
  /** Removes it; no effect after publication. */
  discard(): Promise<void>;
}

/**
 * Writes a file beside its path, under a temporary name. A failure leaves nothing behind.
 *
 * @param path - its final path.
 * @param pieces - content, in order.
 * @param mode - permissions of the file, minus the umask.
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
      // A rename may reach the disk before the data; after a power loss, the file would be empty.
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
 * Writes a file atomically: under a temporary name, which is then renamed.
 *
 * Concurrent writers of the same path do not interfere; the last one wins. A failure leaves nothing behind.
 *
 * @param bytes - all bytes, or chunks; an error thrown by the iterator counts as any other failure.
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
 * As {@link writeAtomically}, for a file readable only by its owner. A replaced file keeps its owner and permissions,
 * so that root can write a file for the user of the service.
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
