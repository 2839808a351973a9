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
 * Reads the key of a file, and makes the file where it does not exist.
 *
 * @param path - PKCS #8 in PEM. A new one has mode 0600.
 * @throws {FaceError} RECEIPT_KEY_INVALID as {@link readReceiptKey}, and where the file cannot be made.
 */
export function openReceiptKey(path: string): ReceiptKey {
  try {
    if (!existsSync(path)) makeKeyFile(path);
  } catch (cause) {
    throw invalid(`cannot be made (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
  return readReceiptKey(path);
}

/** @throws {FaceError} RECEIPT_KEY_INVALID where the file cannot be read, or holds no Ed25519 private key. */
export function readReceiptKey(path: string): ReceiptKey {
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
  const privateKey = parsePrivateKey(pem);
  if (privateKey?.asymmetricKeyType !== 'ed25519') throw invalid('holds no Ed25519 private key in PEM');
  return { id: receiptKeyId(privateKey), privateKey };
}

/** Errors of the parser are left out: they can repeat parts of the key. */
function parsePrivateKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/**
 * Returns the name of a key: its JWK thumbprint, 43 characters of base64url.
 *
 * @param key - Ed25519, private or public: both have the same name.
 * @see RFC 7638, section 3; RFC 8037, appendix A.3.
 */
export function receiptKeyId(key: KeyObject): string {
  const { crv, kty, x } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

/** Of several processes that start at once, the first one makes the key of all. */
function makeKeyFile(path: string): void {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, pem as string);
    // Receipts must not outlive their key because of a power cut.
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
