import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { MAX_SUBJECT_ID_LENGTH } from '../../gallery/gallery-rules';

/** Action of an operator or a caller; `start`, `stop` and `gap` are written by the service itself. */
export type AuditAction =
  | 'verify'
  | 'identify'
  | 'represent'
  | 'detect'
  | 'analyze'
  | 'enroll'
  | 'read'
  | 'change'
  | 'delete'
  | 'export'
  | 'import'
  | 'admin'
  | 'authenticate'
  | 'other'
  | 'start'
  | 'stop'
  | 'gap';

/** Content of one line of the audit stream, without its chain fields. */
export interface AuditEntry {
  /** ISO 8601, UTC. */
  time: string;
  action: AuditAction;
  /** Name of the key of the request; `null` without one. */
  key: string | null;
  /** IP address of the caller; `null` for lines of the service itself. */
  address: string | null;
  gallery: string | null;
  /** The person: by default a keyed hash of gallery and subject id. */
  subject: string | null;
  /** The decision or the result, or the code of the error. */
  outcome: string;
  /** Identify only: cosine similarity, [-1, 1]. */
  similarity?: number;
  requestId: string | null;
  /** Number of lines or results that this one stands for, if not 1. */
  count?: number;
}

/** Position in a chain: sequence number and hash of its last line. */
export interface ChainEnd {
  sequence: number;
  /** 64 hexadecimal digits. */
  hash: string;
}

/** Position before the first line. */
export const CHAIN_START: ChainEnd = { sequence: 0, hash: '0'.repeat(64) };

const OWN_HASH = /,"hash":"([0-9a-f]{64})"}$/;

/** Derives independent keys (HKDF, RFC 5869) for the two uses of FACE_AUDIT_KEY. */
export function auditKeys(secret: string): { chain: Buffer; subjects: Buffer } {
  const derive = (use: string) => Buffer.from(hkdfSync('sha256', secret, '', `likeness audit ${use}`, 32));
  return { chain: derive('chain'), subjects: derive('subjects') };
}

/**
 * Formats the line after `end`: the entry with `sequence`, `previous` (hash of the previous line) and, last, `hash`
 * over the rest of the line: SHA-256, or HMAC-SHA-256 with a key.
 */
export function chainLine(end: ChainEnd, entry: AuditEntry, key: Buffer | null): ChainEnd & { line: string } {
  const sequence = end.sequence + 1;
  const content = JSON.stringify({ sequence, ...entry, previous: end.hash });
  const hash = hashOf(content, key);
  return { line: `${content.slice(0, -1)},"hash":"${hash}"}`, sequence, hash };
}

/**
 * Reads one line of a chain and checks its own hash.
 *
 * @throws {Error} if it is not a line of an audit stream, or its hash does not match.
 */
export function readLine(line: string, key: Buffer | null): ChainEnd & { previous: string; action: string } {
  const [tail, hash] = OWN_HASH.exec(line) ?? [];
  if (tail == null) throw new Error('it is not a line of an audit stream');
  const content = `${line.slice(0, -tail.length)}}`;
  if (hashOf(content, key) !== hash) {
    throw new Error('it was changed, or was written with another FACE_AUDIT_KEY');
  }
  const { sequence, previous, action } = JSON.parse(content) as AuditEntry & {
    sequence: number;
    previous: string;
  };
  return { sequence, hash, previous, action };
}

function hashOf(content: string, key: Buffer | null): string {
  const hash = key == null ? createHash('sha256') : createHmac('sha256', key);
  return hash.update(content).digest('hex');
}

/** Hash of a subject: the first 128 bits of HMAC-SHA-256 over gallery and subject id, hexadecimal. */
export function hashSubject(gallery: string, subjectId: string, key: Buffer): string {
  // Gallery ids contain no slash.
  return createHmac('sha256', key).update(`${gallery}/${subjectId.normalize()}`).digest('hex').slice(0, 32);
}

/** Formats subjects as configured, as a hash or by id. Ids in the paths of rejected requests can have any length. */
export function subjectNamer(settings: {
  key: string | null;
  subjects: 'hashed' | 'plain';
}): (gallery: string, subjectId: string) => string {
  const { key, subjects } = settings;
  if (key == null || subjects === 'plain') return (_, id) => id.normalize().slice(0, MAX_SUBJECT_ID_LENGTH);
  const subjectKey = auditKeys(key).subjects;
  return (gallery, id) => hashSubject(gallery, id, subjectKey);
}
