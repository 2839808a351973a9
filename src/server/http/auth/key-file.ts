import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FaceError } from '../../../errors';
import { galleryIdProblem } from '../../../gallery/gallery-rules';
import { type ApiKey, SCOPES, type Scope } from './api-key';

/** An entry of the key file: see docs/security.md. */
export interface KeyFileEntry {
  /** Unique in the file. */
  name: string;
  /** SHA-256 of the key, 64 hexadecimal digits, lower case. */
  sha256: string;
  scopes: Scope[];
  /** @defaultValue all galleries */
  galleries?: string[];
  /** Expiry: ISO 8601 with its time zone. @defaultValue never */
  expiresAt?: string;
  /** @defaultValue no limit per key */
  requestsPerMinute?: number;
  /** @defaultValue that of `maySeeDistances` */
  maySetThresholds?: boolean;
  /** @defaultValue true */
  maySeeDistances?: boolean;
}

/** Content of the key file. */
export interface KeyFileContent {
  keys: KeyFileEntry[];
}

/** A key as stored in memory: never the key itself. */
export interface StoredKey {
  readonly apiKey: ApiKey;
  /** SHA-256 of the key, Uint8Array [32]. */
  readonly digest: Buffer;
}

/**
 * Format of the keys from {@link generateKey}: a prefix for secret scanners, then 32 random bytes in base64url. Other
 * values are never compared with a key file, so that the hash of a guessable word is useless.
 */
const GENERATED_KEY = /^likeness_[A-Za-z0-9_-]{43}$/;
const KEY_BYTES = 32;
/** Limited, because every request is compared with all keys. */
const MAX_KEYS = 1000;
const MAX_REQUESTS_PER_MINUTE = 1_000_000;
/** Names appear in logs and metric labels. Upper case is reserved for keys from environment variables. */
const KEY_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

const FIELDS = [
  'name',
  'sha256',
  'scopes',
  'galleries',
  'expiresAt',
  'requestsPerMinute',
  'maySetThresholds',
  'maySeeDistances',
];

/** Returns a new key of 256 random bits, which is shown once and never stored. */
export function generateKey(): string {
  return `likeness_${randomBytes(KEY_BYTES).toString('base64url')}`;
}

/** Whether a secret has the format of {@link generateKey}. */
export function isGeneratedKey(secret: string): boolean {
  return GENERATED_KEY.test(secret);
}

export function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** The problem of a key name, as the end of a sentence; `null` if it is valid. */
export function keyNameProblem(name: unknown): string | null {
  if (typeof name === 'string' && KEY_NAME.test(name)) return null;
  return 'must be 1 to 64 lower-case letters, digits, dots, underscores and hyphens, the first a letter or digit';
}

/**
 * Reads a key file.
 *
 * @throws {FaceError} API_KEYS_INVALID if it cannot be read, is not JSON, or has an invalid entry, named in
 * `details.entry`.
 */
export function readKeyFile(path: string): StoredKey[] {
  return storedKeys(readKeyFileContent(path));
}

/** The keys as they are compared with those of requests. */
export function storedKeys({ keys }: KeyFileContent): StoredKey[] {
  return keys.map((entry) => ({
    digest: Buffer.from(entry.sha256, 'hex'),
    apiKey: {
      name: entry.name,
      scopes: new Set(entry.scopes),
      galleries: entry.galleries,
      expiresAt: entry.expiresAt === undefined ? undefined : Date.parse(entry.expiresAt),
      requestsPerMinute: entry.requestsPerMinute,
      ...permissionsOf(entry),
    },
  }));
}

/**
 * Permissions of an entry with defaults. A key without access to distances cannot set thresholds either, because it
 * could find a distance by trying.
 */
export function permissionsOf({
  maySeeDistances = true,
  maySetThresholds = maySeeDistances,
}: KeyFileEntry): Pick<ApiKey, 'maySetThresholds' | 'maySeeDistances'> {
  return { maySetThresholds, maySeeDistances };
}

/** As {@link readKeyFile}, with the entries as they are in the file. */
export function readKeyFileContent(path: string): KeyFileContent {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FaceError(
      'API_KEYS_INVALID',
      `The API key file cannot be read: ${code}.`,
      {},
      { cause: error },
    );
  }
  return parseKeyFile(text);
}

/** @throws {FaceError} API_KEYS_INVALID; its message contains no value of the file except names. */
export function parseKeyFile(text: string): KeyFileContent {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The message of the parser repeats parts of the file.
    throw new FaceError('API_KEYS_INVALID', 'The API key file is not valid JSON.');
  }
  const { keys, ...others } = asRecord(content) ?? {};
  if (!Array.isArray(keys) || Object.keys(others).length > 0) {
    throw new FaceError(
      'API_KEYS_INVALID',
      'The API key file must be an object with a single field `keys`, a list.',
    );
  }
  if (keys.length > MAX_KEYS) {
    throw new FaceError('API_KEYS_INVALID', `The API key file must have at most ${MAX_KEYS} keys.`);
  }
  const entries: KeyFileEntry[] = [];
  for (const [index, key] of keys.entries()) {
    const problem = entryProblem(key, entries);
    if (problem != null) throw invalidEntry(index, key, problem);
    entries.push(key as KeyFileEntry);
  }
  return { keys: entries };
}

function invalidEntry(index: number, key: unknown, problem: string): FaceError {
  const { name } = asRecord(key) ?? {};
  const label = keyNameProblem(name) == null ? `${index + 1} ("${name as string}")` : String(index + 1);
  return new FaceError('API_KEYS_INVALID', `Entry ${label} of the API keys is invalid: ${problem}.`, {
    entry: label,
  });
}

/** The problem of an entry, as a clause; `null` if it is valid. */
function entryProblem(key: unknown, others: readonly KeyFileEntry[]): string | null {
  const entry = asRecord(key);
  if (entry == null) return 'it must be an object';
  const unknown = Object.keys(entry).find((field) => !FIELDS.includes(field));
  if (unknown != null) return `\`${unknown.slice(0, 64)}\` is not a known field`;
  const problems: Record<string, string | null> = {
    name: keyNameProblem(entry.name),
    sha256: /^[0-9a-f]{64}$/.test(String(entry.sha256))
      ? null
      : 'must be the SHA-256 of the key, 64 lowercase hexadecimal digits',
    scopes: listProblem(entry.scopes, (scope) => SCOPES.includes(scope as Scope), SCOPES.join(', ')),
    galleries:
      entry.galleries === undefined
        ? null
        : listProblem(entry.galleries, (id) => galleryIdProblem(id) == null, 'gallery ids'),
    expiresAt: entry.expiresAt === undefined ? null : timeProblem(entry.expiresAt),
    requestsPerMinute:
      entry.requestsPerMinute === undefined || isCount(entry.requestsPerMinute)
        ? null
        : `must be an integer in [1, ${MAX_REQUESTS_PER_MINUTE}]`,
    maySetThresholds: booleanProblem(entry.maySetThresholds),
    maySeeDistances: booleanProblem(entry.maySeeDistances),
  };
  for (const [field, problem] of Object.entries(problems)) {
    if (problem != null) return `\`${field}\` ${problem}`;
  }
  if (others.some(({ name }) => name === entry.name)) return 'another entry has the same `name`';
  if (others.some(({ sha256 }) => sha256 === entry.sha256)) return 'another entry has the same `sha256`';
  return null;
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

/** The problem of an expiry, as the end of a sentence; `null` if it is valid. */
export function timeProblem(time: unknown): string | null {
  if (typeof time === 'string' && ISO_TIME.test(time) && !Number.isNaN(Date.parse(time))) return null;
  return 'must be a time such as 2027-01-31T00:00:00Z, with its time zone';
}

function listProblem(list: unknown, isValid: (item: unknown) => boolean, of: string): string | null {
  const isFit =
    Array.isArray(list) && list.length > 0 && list.every(isValid) && new Set(list).size === list.length;
  return isFit ? null : `must be a non-empty list of ${of}, without duplicates`;
}

function booleanProblem(value: unknown): string | null {
  return value === undefined || typeof value === 'boolean' ? null : 'must be true or false';
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_REQUESTS_PER_MINUTE;
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value != null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
