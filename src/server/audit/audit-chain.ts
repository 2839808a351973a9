import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { MAX_SUBJECT_ID_LENGTH } from '../../gallery/gallery-rules';

/** What an operator or a caller did. `start`, `stop` and `gap` are the service's own. */
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

/** What one line of the audit stream says, beside its place in the chain. */
export interface AuditEntry {
  /** ISO 8601, UTC. */
  time: string;
  action: AuditAction;
  /** Name of the key of the request; `null` without one. */
  key: string | null;
  /** IP address that the request came from; `null` for lines of the service's own. */
  address: string | null;
  gallery: string | null;
  /** The person: by default a keyed hash of gallery and subject id. */
  subject: string | null;
  /** The decision or the result, or the code of the error. */
  outcome: string;
  /** Identify only: cosine similarity, [-1, 1]. */
  similarity?: number;
  requestId: string | null;
  /** How many lines or results this one stands for, where it is not one. */
  count?: number;
}

/** Where a chain stands: the number and the hash of its last line. */
export interface ChainEnd {
  sequence: number;
  /** 64 hexadecimal digits. */
  hash: string;
}

/** Before the first line. */
export const CHAIN_START: ChainEnd = { sequence: 0, hash: '0'.repeat(64) };

const OWN_HASH = /,"hash":"([0-9a-f]{64})"}$/;

/** Keys of the two uses of FACE_AUDIT_KEY (HKDF, RFC 5869), so that one says nothing about the other. */
export function auditKeys(secret: string): { chain: Buffer; subjects: Buffer } {
  const derive = (use: string) => Buffer.from(hkdfSync('sha256', secret, '', `likeness audit ${use}`, 32));
  return { chain: derive('chain'), subjects: derive('subjects') };
}

/**
 * The line that follows `end`: the entry with `sequence`, `previous` (the hash of the line before) and, last, `hash`, that of
 * the rest of the line. The hash is SHA-256, or HMAC-SHA-256 where there is a key.
 */
export function chainLine(end: ChainEnd, entry: AuditEntry, key: Buffer | null): ChainEnd & { line: string } {
  const sequence = end.sequence + 1;
  const content = JSON.stringify({ sequence, ...entry, previous: end.hash });
  const hash = hashOf(content, key);
  return { line: `${content.slice(0, -1)},"hash":"${hash}"}`, sequence, hash };
}

/**
 * Reads a line of a chain, for itself.
 *
 * @throws {Error} where it is no such line, or its hash is not that of its content.
 */
export function readLine(line: string, key: Buffer | null): ChainEnd & { previous: string; action: string } {
  const [tail, hash] = OWN_HASH.exec(line) ?? [];
  if (tail == null) throw new Error('it is not a line of an audit stream');
  const content = `${line.slice(0, -tail.length)}}`;
  if (hashOf(content, key) !== hash) {
    throw new Error('it was changed, or FACE_AUDIT_KEY is not the key that it was written with');
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

/** The person of a line: HMAC-SHA-256 of gallery and subject id, its first 128 bits in hexadecimal digits. */
export function hashSubject(gallery: string, subjectId: string, key: Buffer): string {
  // Ids of galleries have no slash.
  return createHmac('sha256', key).update(`${gallery}/${subjectId.normalize()}`).digest('hex').slice(0, 32);
}

/** How the settings name a person: as a hash, or by the id itself. Ids from paths of refused requests may be of any length. */
export function subjectNamer(settings: {
  key: string | null;
  subjects: 'hashed' | 'plain';
}): (gallery: string, subjectId: string) => string {
  const { key, subjects } = settings;
  if (key == null || subjects === 'plain') return (_, id) => id.normalize().slice(0, MAX_SUBJECT_ID_LENGTH);
  const subjectKey = auditKeys(key).subjects;
  return (gallery, id) => hashSubject(gallery, id, subjectKey);
}
