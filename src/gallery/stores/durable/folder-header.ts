import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { keepOwner } from './keep-owner';
import { LOCK_FILE } from './folder-lock';
import { storeInvalid } from './store-invalid';
import { syncFolder } from './sync-folder';

export const HEADER_FILE = 'header.json';
const NEW_HEADER_FILE = 'header.json.new';
export const FORMAT = 'likeness-galleries';
export const VERSION = 3;
/** Previous version, upgraded when it is opened. */
export const OLD_VERSION = 2;
/** Minimum length of the operator's key, in characters. */
const MIN_STORE_KEY_LENGTH = 32;
/** Bytes of the key that wraps the bundle keys. */
const WRAPPING_KEY_BYTES = 32;
/** Name of the key file in a new folder, and in every folder of the old version. */
const FIRST_KEYS_FILE = 'keys';

export interface Header {
  format: typeof FORMAT;
  version: typeof VERSION | typeof OLD_VERSION;
  /** Name of the key file. */
  keys: string;
  /** Name of a key file left behind by a key change, to be wiped and removed. */
  leftover?: string;
  /** Identifies the operator's key; `null` without one. */
  encryption: { kdf: 'scrypt'; salt: string; check: string } | null;
}

const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

/**
 * Reads the header of a gallery folder, or writes it to a new folder.
 *
 * @param key - the operator's key; `undefined` for none.
 * @returns the header, and the key that wraps the bundle keys, if the folder is encrypted.
 * @throws {FaceError} GALLERY_STORE_INVALID if the folder is not a gallery folder, or has another version or key; nothing was
 * changed.
 */
export async function openHeader(
  dir: string,
  key: string | undefined,
): Promise<{ header: Header; wrappingKey: Buffer | undefined }> {
  checkKeyLength(key);
  const names = await readdir(dir);
  if (names.includes(HEADER_FILE)) {
    const header = parseHeader(await readFile(join(dir, HEADER_FILE), 'utf8'));
    return { header, wrappingKey: await unlock(header, key) };
  }
  // A previous start may have ended between the lock and the header.
  if (names.some((name) => name !== LOCK_FILE && name !== NEW_HEADER_FILE))
    throw storeInvalid('contains files that do not belong to a gallery store');
  const { wrappingKey, encryption } = await newEncryption(key);
  const header: Header = { format: FORMAT, version: VERSION, keys: FIRST_KEYS_FILE, encryption };
  await writeHeader(dir, header);
  await syncFolder(dir);
  return { header, wrappingKey };
}

/**
 * Replaces the header atomically: a crash leaves either the old or the new one. The caller must sync the folder.
 */
export async function writeHeader(dir: string, header: Header): Promise<void> {
  const [path, newPath] = [join(dir, HEADER_FILE), join(dir, NEW_HEADER_FILE)];
  const file = await open(newPath, 'w', 0o600);
  try {
    await keepOwner(file, path);
    await file.writeFile(`${JSON.stringify(header)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(newPath, path);
}

/** Derives the wrapping key and the header's `encryption` for a new key, with a new salt. */
export async function newEncryption(
  key: string | undefined,
): Promise<{ wrappingKey: Buffer | undefined; encryption: Header['encryption'] }> {
  if (key === undefined) return { wrappingKey: undefined, encryption: null };
  const salt = randomBytes(16);
  const wrappingKey = await deriveKey(key, salt, WRAPPING_KEY_BYTES);
  const check = checkOf(wrappingKey).toString('base64');
  return { wrappingKey, encryption: { kdf: 'scrypt', salt: salt.toString('base64'), check } };
}

/** @throws {FaceError} GALLERY_STORE_INVALID for a key that is too short. */
export function checkKeyLength(key: string | undefined): void {
  if (key !== undefined && key.length < MIN_STORE_KEY_LENGTH)
    throw storeInvalid(`needs a key of ${MIN_STORE_KEY_LENGTH} characters or more`);
}

async function unlock({ encryption }: Header, key: string | undefined): Promise<Buffer | undefined> {
  if (encryption === null) {
    if (key !== undefined) throw storeInvalid('is not encrypted, but a key was given');
    return undefined;
  }
  if (key === undefined) throw storeInvalid('is encrypted, but no key was given');
  const wrappingKey = await deriveKey(key, Buffer.from(encryption.salt, 'base64'), WRAPPING_KEY_BYTES);
  const [expected, given] = [Buffer.from(encryption.check, 'base64'), checkOf(wrappingKey)];
  if (expected.length !== given.length || !timingSafeEqual(expected, given))
    throw storeInvalid('is encrypted with a different key');
  return wrappingKey;
}

function parseHeader(text: string): Header {
  let header: Header | null;
  try {
    header = JSON.parse(text) as Header | null;
  } catch {
    header = null;
  }
  if (header?.format !== FORMAT) throw storeInvalid('has a header that cannot be read');
  if (header.version !== VERSION && header.version !== OLD_VERSION)
    throw storeInvalid(
      `has format version ${String(header.version)}; this release reads ${VERSION} and ${OLD_VERSION}`,
    );
  if (header.version === OLD_VERSION) header = { ...header, keys: FIRST_KEYS_FILE };
  const { keys, leftover, encryption } = header;
  const isWhole =
    isKeysFile(keys) &&
    (leftover === undefined || (isKeysFile(leftover) && leftover !== keys)) &&
    (encryption === null ||
      (encryption?.kdf === 'scrypt' &&
        typeof encryption.salt === 'string' &&
        typeof encryption.check === 'string'));
  if (!isWhole) throw storeInvalid('has a header that cannot be read');
  return header;
}

/** Random name, so that the removal of a leftover key file cannot hit a file of the operator. */
export function newKeysFile(): string {
  return `${FIRST_KEYS_FILE}-${randomBytes(8).toString('hex')}`;
}

function isKeysFile(name: unknown): boolean {
  return typeof name === 'string' && /^keys(-[0-9a-f]{16})?$/.test(name);
}

/** Value that identifies the right key without revealing it. */
function checkOf(wrappingKey: Buffer): Buffer {
  return createHmac('sha256', wrappingKey).update(FORMAT).digest();
}
