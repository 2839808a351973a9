import { join } from 'node:path';
import { FaceError } from '../../../errors';
import { lockFolder } from './folder-lock';
import {
  checkKeyLength,
  type Header,
  newEncryption,
  newKeysFile,
  openHeader,
  VERSION,
  writeHeader,
} from './folder-header';
import { KeyFile, wipeKeyFile } from './key-file';
import { storeInvalid } from './store-invalid';
import { syncFolder } from './sync-folder';

/**
 * Changes, adds or removes the operator's key of a gallery folder. Records stay as they are: only the keys of their bundles are
 * rewritten, wrapped with the new key.
 *
 * Crash safety. (1) A header names the new key file as the leftover; (2) that file is written; (3) a header with the new key
 * names it as the key file, and the old one as the leftover; (4) the old file is overwritten and removed; (5) a header without a
 * leftover is written. Each step is on the disk before the next one begins. So before 3 only the old key opens the folder and
 * after it only the new one, and the next opening wipes the leftover.
 *
 * @param key - current key; `undefined` if the folder is not encrypted.
 * @param newKey - new key; `undefined` to remove the encryption.
 * @throws {FaceError} GALLERY_STORE_INVALID if the folder is in use, is not a gallery folder, has a key other than `key`, already
 * has the new key, or the new key is too short; GALLERY_STORE_FAILED if the disk fails, with a message that says which key the
 * folder has.
 */
export async function rekeyFolder(
  dir: string,
  key: string | undefined,
  newKey: string | undefined,
): Promise<void> {
  checkKeyLength(newKey);
  const lock = await lockFolder(dir);
  try {
    const { header, wrappingKey } = await openHeader(dir, key);
    if (newKey === key)
      throw storeInvalid(key === undefined ? 'has no key to remove' : 'has this key already');
    await finishRekey(dir, header);
    await changeKey(dir, header, wrappingKey, newKey);
  } finally {
    await lock.close();
  }
}

/**
 * Wipes the key file left behind by a key change.
 *
 * @returns the current header.
 */
export async function finishRekey(dir: string, header: Header): Promise<Header> {
  const { leftover, ...finished } = header;
  if (leftover === undefined) return header;
  // The header that names the leftover must be on the disk before the wipe.
  await syncFolder(dir);
  await wipeKeyFile(join(dir, leftover));
  await writeHeader(dir, finished);
  await syncFolder(dir);
  return finished;
}

async function changeKey(
  dir: string,
  { leftover: _leftover, ...header }: Header,
  wrappingKey: Buffer | undefined,
  newKey: string | undefined,
): Promise<void> {
  const { wrappingKey: newWrappingKey, encryption } = await newEncryption(newKey);
  const newKeys = newKeysFile();
  const changed: Header = { ...header, version: VERSION, keys: newKeys, leftover: header.keys, encryption };
  let isChanged = false;
  try {
    await writeHeader(dir, { ...header, version: VERSION, leftover: newKeys });
    await syncFolder(dir);
    const keyFile = await KeyFile.open(join(dir, header.keys), wrappingKey);
    try {
      await keyFile.copyTo(join(dir, newKeys), newWrappingKey);
    } finally {
      await keyFile.close();
    }
    await syncFolder(dir);
    await writeHeader(dir, changed);
    isChanged = true;
    await finishRekey(dir, changed);
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    const message = isChanged
      ? `The key of the folder was changed, but its old file of keys could not be removed (${code}). The next start tries again.`
      : `The key of the folder was not changed, because its files could not be written (${code}).`;
    throw new FaceError('GALLERY_STORE_FAILED', message, {}, { cause });
  }
}
