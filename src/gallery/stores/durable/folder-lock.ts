import { tryLock } from 'fs-native-extensions';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { storeInvalid } from './store-invalid';

export const LOCK_FILE = 'lock';

/**
 * Takes the folder for this process. The lock is the system's own and goes with the process, however that ends.
 *
 * @returns what gives it back when it is closed.
 * @throws {FaceError} GALLERY_STORE_INVALID where it is in use.
 */
export async function lockFolder(dir: string): Promise<FileHandle> {
  const file = await open(join(dir, LOCK_FILE), 'a');
  if (tryLock(file.fd)) return file;
  await file.close();
  throw storeInvalid('is in use by another process');
}
