import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LOCK_FILE } from './folder-lock';
import { storeInvalid } from './store-invalid';

export const HEADER_FILE = 'header.json';
const NEW_HEADER_FILE = 'header.json.new';
const FORMAT = 'likeness-galleries';
const VERSION = 2;
/** Shortest key of an operator, in characters. */
export const MIN_STORE_KEY_LENGTH = 32;
/** Bytes of the key that wraps the keys in the folder. */
const WRAPPING_KEY_BYTES = 32;

interface Header {
  format: string;
  version: number;
  /** How the key of the operator is told from others; `null` where there is none. */
  encryption: { kdf: 'scrypt'; salt: string; check: string } | null;
}

const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

/**
 * Reads the header of a folder of galleries, or writes that of a new one.
 *
 * @param key - of the operator; `undefined`: none.
 * @returns the key that wraps the keys in the folder, where the folder is encrypted.
 * @throws {FaceError} GALLERY_STORE_INVALID where the folder is not ours, of another version, or has another key; nothing
 * was changed.
 */
export async function openHeader(dir: string, key: string | undefined): Promise<Buffer | undefined> {
  if (key !== undefined && key.length < MIN_STORE_KEY_LENGTH)
    throw storeInvalid(`needs a key of ${MIN_STORE_KEY_LENGTH} characters or more`);
  const names = await readdir(dir);
  if (names.includes(HEADER_FILE)) return readHeader(dir, key);
  // A start may have ended between its lock and its header.
  if (names.some((name) => name !== LOCK_FILE && name !== NEW_HEADER_FILE))
    throw storeInvalid('holds files that are not of galleries');
  return writeHeader(dir, key);
}

async function readHeader(dir: string, key: string | undefined): Promise<Buffer | undefined> {
  const header = parseHeader(await readFile(join(dir, HEADER_FILE), 'utf8'));
  if (!header || header.format !== FORMAT) throw storeInvalid('has a header that cannot be read');
  if (header.version !== VERSION)
    throw storeInvalid(`has format version ${header.version}; this release reads ${VERSION}`);
  if (header.encryption === null) {
    if (key !== undefined) throw storeInvalid('is not encrypted, but a key was given');
    return undefined;
  }
  if (key === undefined) throw storeInvalid('is encrypted, and no key was given');
  const { salt, check } = header.encryption;
  const wrappingKey = await deriveKey(key, Buffer.from(salt, 'base64'), WRAPPING_KEY_BYTES);
  const [expected, given] = [Buffer.from(check, 'base64'), checkOf(wrappingKey)];
  if (expected.length !== given.length || !timingSafeEqual(expected, given))
    throw storeInvalid('is encrypted with another key');
  return wrappingKey;
}

async function writeHeader(dir: string, key: string | undefined): Promise<Buffer | undefined> {
  const salt = randomBytes(16);
  const wrappingKey = key === undefined ? undefined : await deriveKey(key, salt, WRAPPING_KEY_BYTES);
  const header: Header = {
    format: FORMAT,
    version: VERSION,
    encryption: wrappingKey
      ? { kdf: 'scrypt', salt: salt.toString('base64'), check: checkOf(wrappingKey).toString('base64') }
      : null,
  };
  const file = await open(join(dir, NEW_HEADER_FILE), 'w', 0o600);
  await file.writeFile(`${JSON.stringify(header)}\n`);
  await file.sync();
  await file.close();
  await rename(join(dir, NEW_HEADER_FILE), join(dir, HEADER_FILE));
  return wrappingKey;
}

function parseHeader(text: string): Header | undefined {
  try {
    const header = JSON.parse(text) as Header;
    const { encryption } = header;
    const isWhole =
      encryption === null ||
      (encryption.kdf === 'scrypt' &&
        typeof encryption.salt === 'string' &&
        typeof encryption.check === 'string');
    return isWhole || header.version !== VERSION ? header : undefined;
  } catch {
    return undefined;
  }
}

/** Tells whether a key is the right one, and nothing of the key. */
function checkOf(wrappingKey: Buffer): Buffer {
  return createHmac('sha256', wrappingKey).update(FORMAT).digest();
}
