import { FaceError } from '../../../errors';
import { nextTurn } from '../../../turns';

/** Limits of JSON from callers, checked on its bytes before it is parsed. */
export interface JsonLimits {
  /** Maximum number of values and keys together. */
  maxTokens: number;
}

/** Maximum nesting of lists and objects; no route needs more than 4. */
export const MAX_JSON_DEPTH = 32;
/** Tokens of bodies without embeddings: more than the largest settings, metadata or filter has. */
export const SMALL_JSON_TOKENS = 10_000;
/** Tokens of bodies with embeddings: 1,000 embeddings of 1,024 numbers, with room for other fields. */
export const LARGE_JSON_TOKENS = 1_100_000;
/**
 * Keys with a meaning in JavaScript. Nest's ValidationPipe silently removes them from a body (`stripProtoKeys`), and
 * class-transformer omits two of them from its copy: a filter that loses a key matches too many people.
 */
const RESERVED_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];
/** Bytes of the longest reserved key if each character is escaped as `\uXXXX`. */
const MAX_RESERVED_BYTES = 6 * Math.max(...RESERVED_KEYS.map((key) => key.length));

/** Maximum length of the path of a key in a response: the caller controls it. */
const MAX_PATH_LENGTH = 100;

/** Maximum length for {@link parseShortJson}: an embedding of 4,096 numbers has 100 KB. */
const MAX_SHORT_BYTES = 256 * 1024;

/** Bytes to scan per turn of the event loop: about 4 ms on a slow core. */
const SLICE_BYTES = 512 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Parses JSON from a caller. Counts depth and tokens first, in slices with turns of the event loop between them.
 *
 * @param bytes - UTF-8, with or without a byte order mark.
 * @throws {FaceError} REQUEST_MALFORMED if it is not JSON or nested deeper than {@link MAX_JSON_DEPTH},
 * REQUEST_TOO_LARGE over `maxTokens`, PARAMETER_INVALID for a key in {@link RESERVED_KEYS}.
 */
export async function parseJson(bytes: Buffer, limits: JsonLimits): Promise<unknown> {
  const scan = new JsonScan(limits);
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) {
    if (from > 0) await nextTurn();
    scan.add(bytes.subarray(from, from + SLICE_BYTES));
  }
  return parseScanned(bytes, scan);
}

/**
 * As {@link parseJson}, in one turn: for short texts such as a query parameter or a part of a form.
 *
 * @param field - name of the text in errors.
 * @throws {FaceError} as {@link parseJson}; REQUEST_TOO_LARGE over {@link MAX_SHORT_BYTES} or {@link SMALL_JSON_TOKENS}.
 */
export function parseShortJson(text: string, field: string): unknown {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_SHORT_BYTES) {
    throw new FaceError(
      'REQUEST_TOO_LARGE',
      `Expected at most ${MAX_SHORT_BYTES} bytes of JSON for ${field}.`,
      {
        field,
        maxBytes: MAX_SHORT_BYTES,
      },
    );
  }
  const scan = new JsonScan({ maxTokens: SMALL_JSON_TOKENS });
  scan.add(bytes);
  return parseScanned(bytes, scan, [field]);
}

/** @throws {FaceError} PARAMETER_INVALID for a key in {@link RESERVED_KEYS} at any depth. */
export function refuseReservedKeys(value: unknown, path: readonly string[] = []): void {
  if (typeof value !== 'object' || value == null) return;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') refuseReservedKeys(item, path);
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    if (RESERVED_KEYS.includes(key)) {
      throw reservedKey([...path, key].join('.'));
    }
    if (typeof inner === 'object') refuseReservedKeys(inner, [...path, key]);
  }
}

function reservedKey(path: string): FaceError {
  const name = path.slice(-MAX_PATH_LENGTH);
  const problem = 'must not be used as a key';
  return new FaceError('PARAMETER_INVALID', `Invalid: ${name} ${problem}.`, { fields: { [name]: problem } });
}

/** Scans the bytes of JSON as they arrive: counts depth and tokens, and looks for reserved keys. Syntax is left to the parser. */
export class JsonScan {
  /**
   * False if the JSON has none of {@link RESERVED_KEYS}, so that the values need no search: in a body with embeddings it would
   * visit, and allocate, each number.
   */
  mayHaveReservedKeys = false;
  private depth = 0;
  private tokens = 1;
  private isInString = false;
  /** Trailing backslashes of the scanned bytes: they can escape the next byte. */
  private backslashes = 0;

  constructor(private readonly limits: JsonLimits) {}

  /**
   * Scans the next bytes.
   *
   * @throws {FaceError} REQUEST_MALFORMED over {@link MAX_JSON_DEPTH}, REQUEST_TOO_LARGE over `maxTokens`.
   */
  add(bytes: Buffer): void {
    let at = 0;
    // Of the string; -1 if it began in an earlier chunk.
    let begin = -1;
    while (at < bytes.length) {
      if (this.isInString) {
        // Native search: most of a body is one long base64 string.
        const quote = bytes.indexOf(QUOTE, at);
        if (quote < 0) break;
        this.isInString = this.backslashesBefore(bytes, quote) % 2 === 1;
        at = quote + 1;
        if (!this.isInString) this.mayHaveReservedKeys ||= begin < 0 || mayBeReserved(bytes, begin, quote);
        continue;
      }
      switch (bytes[at++]) {
        case QUOTE:
          this.isInString = true;
          begin = at;
          break;
        case COMMA:
        case COLON:
          this.tokens++;
          break;
        case OPEN_LIST:
        case OPEN_OBJECT:
          this.tokens++;
          if (++this.depth > MAX_JSON_DEPTH) {
            throw new FaceError(
              'REQUEST_MALFORMED',
              `Expected JSON that is nested at most ${MAX_JSON_DEPTH} levels deep.`,
              { maxDepth: MAX_JSON_DEPTH },
            );
          }
          break;
        case CLOSE_LIST:
        case CLOSE_OBJECT:
          this.depth--;
          break;
      }
    }
    this.backslashes = this.backslashesBefore(bytes, bytes.length);
    const { maxTokens } = this.limits;
    if (this.tokens > maxTokens) {
      throw new FaceError('REQUEST_TOO_LARGE', `Expected JSON of at most ${maxTokens} values and keys.`, {
        maxTokens,
      });
    }
  }

  private backslashesBefore(bytes: Buffer, end: number): number {
    let first = end;
    while (first > 0 && bytes[first - 1] === BACKSLASH) first--;
    return end - first + (first === 0 ? this.backslashes : 0);
  }
}

/** Whether a string can be one of {@link RESERVED_KEYS}: it is one, or is short and has an escape. */
function mayBeReserved(bytes: Buffer, begin: number, end: number): boolean {
  if (end - begin > MAX_RESERVED_BYTES) return false;
  for (let at = begin; at < end; at++) if (bytes[at] === BACKSLASH) return true;
  return RESERVED_KEYS.some(
    (key) => key.length === end - begin && key === bytes.toString('latin1', begin, end),
  );
}

/**
 * Parses JSON that was scanned as a whole.
 *
 * @throws {FaceError} REQUEST_MALFORMED if it is not JSON, PARAMETER_INVALID for a key in {@link RESERVED_KEYS}.
 */
export function parseScanned(bytes: Buffer, scan: JsonScan, path: readonly string[] = []): unknown {
  const isMarked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8', isMarked ? 3 : 0));
  } catch {
    throw new FaceError('REQUEST_MALFORMED', 'The request cannot be read: its JSON is malformed.');
  }
  if (scan.mayHaveReservedKeys) refuseReservedKeys(value, path);
  return value;
}
