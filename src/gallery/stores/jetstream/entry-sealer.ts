import { createHmac, hkdfSync, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { seal, unseal } from '../durable/seal';
import { jetstreamInvalid } from './connect-nats';
import { type EntryLog, RevisionConflict } from './entry-log';

/** Minimum length of the operator's key, in characters. */
const MIN_KEY_LENGTH = 32;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
/** Bytes of a name in a stream key: with 2^32 ids, a collision has a probability of 2^-65. */
const NAME_BYTES = 16;
const HEADER_KEY = 'header';
const FORMAT = 'likeness-galleries';
const VERSION = 1;
const FORMAT_BYTES = Uint8Array.of(VERSION);

/** Encryption of the stream; the only unsealed entry. */
interface Header {
  format: string;
  version: number;
  kdf: 'scrypt';
  salt: string;
  /** Random key of the stream, sealed with a key that scrypt derives from the operator's key; base64. */
  key: string;
}

const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

/**
 * Seals the entries of a stream with AES-256-GCM and derives their names, so that neither ids nor contents can be read from the
 * servers' files without the operator's key. All keys are derived from one random key of the stream, which the operator's key
 * wraps: changing the operator's key rewrites one entry only.
 */
export class EntrySealer {
  private readonly nameKey: Buffer;
  private readonly entryKey: Buffer;

  private constructor(private readonly streamKey: Buffer) {
    this.nameKey = Buffer.from(hkdfSync('sha256', streamKey, '', 'likeness names', KEY_BYTES));
    this.entryKey = Buffer.from(hkdfSync('sha256', streamKey, '', 'likeness entries', KEY_BYTES));
  }

  /**
   * Reads the header of the stream, or writes it to a new stream. If several replicas start at once, one of them writes it.
   *
   * @param key - the operator's key, 32 characters or more.
   * @throws {FaceError} GALLERY_STORE_INVALID if the key is a different one, or the stream has another format version.
   */
  static async open(log: EntryLog, key: string | null | undefined): Promise<EntrySealer> {
    if (key == null || key.length < MIN_KEY_LENGTH)
      throw jetstreamInvalid(`needs FACE_GALLERY_KEY, of ${MIN_KEY_LENGTH} characters or more`);
    for (;;) {
      const entry = await log.read(HEADER_KEY);
      if (entry?.value) return new EntrySealer(await readHeader(entry.value, key));
      const streamKey = randomBytes(KEY_BYTES);
      try {
        await log.write(HEADER_KEY, await makeHeader(streamKey, key));
        return new EntrySealer(streamKey);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
  }

  /** Whether the stream has a header, so that {@link open} does not write one. */
  static async exists(log: EntryLog): Promise<boolean> {
    return (await log.read(HEADER_KEY))?.value != null;
  }

  /** Seals the stream's key under a new key of the operator. The other entries stay as they are. */
  async rekey(log: EntryLog, key: string): Promise<void> {
    if (key.length < MIN_KEY_LENGTH)
      throw jetstreamInvalid(`needs a key of ${MIN_KEY_LENGTH} characters or more`);
    const old = await log.read(HEADER_KEY);
    const version = await log.write(HEADER_KEY, await makeHeader(this.streamKey, key), old);
    await log.erase(HEADER_KEY, version, old);
  }

  /** Sealer for a part of the stream with a key of its own: without that key nobody can read its entries. */
  under(key: Uint8Array): EntrySealer {
    return new EntrySealer(createHmac('sha256', this.entryKey).update(key).digest());
  }

  /**
   * Name of an id, or of a path of ids, in 22 characters valid in NATS keys: deterministic, and meaningless without the key.
   */
  nameOf(...ids: readonly string[]): string {
    const hash = createHmac('sha256', this.nameKey).update(JSON.stringify(ids)).digest();
    return hash.subarray(0, NAME_BYTES).toString('base64url');
  }

  /** @param entryKey - bound to the content, with the format: content moved to another entry does not open. */
  seal(entryKey: string, content: Uint8Array): Buffer {
    const salt = randomBytes(SALT_BYTES);
    return Buffer.concat([FORMAT_BYTES, salt, seal(this.keyOf(salt), content, bindingOf(entryKey))]);
  }

  /** @returns `undefined` if it is damaged, has another format, or was sealed for another entry. */
  unseal(entryKey: string, sealed: Uint8Array): Buffer | undefined {
    if (sealed[0] !== VERSION) return undefined;
    const salt = sealed.subarray(1, 1 + SALT_BYTES);
    return unseal(this.keyOf(salt), sealed.subarray(1 + SALT_BYTES), bindingOf(entryKey));
  }

  /** Key of one version of one entry, never used for another: HMAC as the one-block KDF of NIST SP 800-108. */
  private keyOf(salt: Uint8Array): Buffer {
    return createHmac('sha256', this.entryKey).update(salt).digest();
  }
}

/** Associated data of the content of an entry. */
function bindingOf(entryKey: string): Buffer {
  return Buffer.from(`${VERSION} ${entryKey}`);
}

async function makeHeader(streamKey: Buffer, key: string): Promise<Uint8Array> {
  const salt = randomBytes(SALT_BYTES);
  const wrappingKey = await deriveKey(key, salt, KEY_BYTES);
  const header: Header = {
    format: FORMAT,
    version: VERSION,
    kdf: 'scrypt',
    salt: salt.toString('base64'),
    key: seal(wrappingKey, streamKey, bindingOf(HEADER_KEY)).toString('base64'),
  };
  return Buffer.from(JSON.stringify(header));
}

async function readHeader(value: Uint8Array, key: string): Promise<Buffer> {
  const header = parseHeader(value);
  if (header?.format !== FORMAT) throw jetstreamInvalid('has a header that cannot be read');
  if (header.version !== VERSION)
    throw jetstreamInvalid(`has format version ${header.version}; this release reads ${VERSION}`);
  const wrappingKey = await deriveKey(key, Buffer.from(header.salt, 'base64'), KEY_BYTES);
  const streamKey = unseal(wrappingKey, Buffer.from(header.key, 'base64'), bindingOf(HEADER_KEY));
  if (!streamKey) throw jetstreamInvalid('is encrypted with a key other than FACE_GALLERY_KEY');
  return streamKey;
}

function parseHeader(value: Uint8Array): Header | undefined {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8')) as Header;
  } catch {
    return undefined;
  }
}
