import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { FaceError } from '../../errors';

/** The key that signs receipts. */
export interface ReceiptKey {
  /** See {@link receiptKeyId}. */
  id: string;
  /** Ed25519. */
  privateKey: KeyObject;
}

/**
 * Reads the key from a file, which is created if it does not exist.
 *
 * @param path - PKCS #8 in PEM. A new one has mode 0600.
 * @throws {FaceError} RECEIPT_KEY_INVALID as {@link readReceiptKey}, and if the file cannot be created.
 */
export function openReceiptKey(path: string): ReceiptKey {
  try {
    if (!existsSync(path)) makeKeyFile(path);
  } catch (cause) {
    throw invalid(`cannot be created (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
  return readReceiptKey(path);
}

/** @throws {FaceError} RECEIPT_KEY_INVALID if the file cannot be read or does not contain an Ed25519 private key. */
export function readReceiptKey(path: string): ReceiptKey {
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
  const privateKey = parsePrivateKey(pem);
  if (privateKey?.asymmetricKeyType !== 'ed25519')
    throw invalid('does not contain an Ed25519 private key in PEM');
  return { id: receiptKeyId(privateKey), privateKey };
}

/** Errors of the parser are dropped, because they can contain parts of the key. */
function parsePrivateKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/**
 * Returns the id of a key: its JWK thumbprint, 43 characters of base64url.
 *
 * @param key - Ed25519, private or public: both have the same id.
 * @see RFC 7638, section 3; RFC 8037, appendix A.3.
 */
export function receiptKeyId(key: KeyObject): string {
  const { crv, kty, x } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

/** If several processes start at once, the first one creates the key for all. */
function makeKeyFile(path: string): void {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, pem as string);
    // A power failure must not lose the key of issued receipts.
    fsyncSync(file);
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    rmSync(temporary, { force: true });
  }
}

function invalid(problem: string, cause?: unknown): FaceError {
  return new FaceError('RECEIPT_KEY_INVALID', `FACE_RECEIPT_KEY_FILE ${problem}.`, {}, { cause });
}
