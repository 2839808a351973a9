import { tryLock } from 'fs-native-extensions';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { storeInvalid } from './store-invalid';

export const LOCK_FILE = 'lock';

/**
 * Locks the folder for this process. The operating system releases the lock when the process ends, in whatever way.
 *
 * @returns a handle; closing it releases the lock.
 * @throws {FaceError} GALLERY_STORE_INVALID if another process has the lock.
 */
export async function lockFolder(dir: string): Promise<FileHandle> {
  const file = await open(join(dir, LOCK_FILE), 'a');
  if (tryLock(file.fd)) return file;
  await file.close();
  throw storeInvalid('is in use by another process');
}
