import { setImmediate as nextTurn } from 'node:timers/promises';
import { FaceError } from '../../../errors';

/** What JSON from a caller may be like; checked on its bytes, before anything is made of them. */
export interface JsonLimits {
  /** Most values and keys together. */
  maxTokens: number;
}

/** Levels of lists and objects within each other: no route needs more than 4. */
export const MAX_JSON_DEPTH = 32;
/** Tokens of bodies without embeddings: more than the largest settings, metadata or filter has. */
export const SMALL_JSON_TOKENS = 10_000;
/** Tokens of bodies with embeddings: 1,000 embeddings of 1,024 numbers, and room for what stands beside them. */
export const LARGE_JSON_TOKENS = 1_100_000;
/**
 * Names that JavaScript gives a meaning of its own. Nest's ValidationPipe takes these keys out of a body without a word
 * (`stripProtoKeys`), class-transformer leaves two of them out of its copy: a filter that loses a key lets people through.
 */
const RESERVED_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** As much of the way to a key as an answer repeats: it is the caller's. */
const MAX_PATH_LENGTH = 100;

/** Longest text of {@link parseShortJson}: an embedding of 4,096 numbers has 100 KB. */
const MAX_SHORT_BYTES = 256 * 1024;

/** Bytes that are looked at in one turn of the event loop: some 4 ms on a slow core. */
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
 * Parses JSON that a caller sent. Depth and tokens are counted first, in slices between which the event loop turns.
 *
 * @param bytes - UTF-8, with or without a byte order mark.
 * @throws {FaceError} REQUEST_MALFORMED where it is no JSON or nested more than {@link MAX_JSON_DEPTH} deep,
 * REQUEST_TOO_LARGE over `maxTokens`, PARAMETER_INVALID for a key of {@link RESERVED_KEYS}.
 */
export async function parseJson(bytes: Buffer, limits: JsonLimits): Promise<unknown> {
  const scan = new JsonScan(limits);
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) {
    if (from > 0) await nextTurn();
    scan.add(bytes.subarray(from, from + SLICE_BYTES));
  }
  return parseScanned(bytes);
}

/**
 * As {@link parseJson}, at once: for short texts, as in a query or a part of a form.
 *
 * @param field - where the text came in, for the error.
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
  new JsonScan({ maxTokens: SMALL_JSON_TOKENS }).add(bytes);
  return parseScanned(bytes, [field]);
}

/** @throws {FaceError} PARAMETER_INVALID where a name in it is one of {@link RESERVED_KEYS}. */
export function refuseReservedKeys(value: unknown, path: readonly string[] = []): void {
  if (typeof value !== 'object' || value == null) return;
  if (Array.isArray(value)) {
    // By index: an iterator allocates an object for each number of an embedding.
    for (let at = 0; at < value.length; at++)
      if (typeof value[at] === 'object') refuseReservedKeys(value[at], path);
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

/** Counts depth and tokens over the bytes of a JSON text, as they arrive; what is no JSON is left to the parser. */
export class JsonScan {
  private depth = 0;
  private tokens = 1;
  private isInString = false;
  /** Backslashes at the end of what was looked at: they may escape what comes next. */
  private backslashes = 0;

  constructor(private readonly limits: JsonLimits) {}

  /**
   * Looks at the next bytes of the text.
   *
   * @throws {FaceError} REQUEST_MALFORMED over {@link MAX_JSON_DEPTH}, REQUEST_TOO_LARGE over `maxTokens`.
   */
  add(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.isInString) {
        // Native search: most of a body is one long text of base64.
        const quote = bytes.indexOf(QUOTE, at);
        if (quote < 0) break;
        this.isInString = this.backslashesBefore(bytes, quote) % 2 === 1;
        at = quote + 1;
        continue;
      }
      switch (bytes[at++]) {
        case QUOTE:
          this.isInString = true;
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

/**
 * Parses JSON that a {@link JsonScan} has seen the whole of.
 *
 * @throws {FaceError} REQUEST_MALFORMED where it is no JSON, PARAMETER_INVALID for a key of {@link RESERVED_KEYS}.
 */
export function parseScanned(bytes: Buffer, path: readonly string[] = []): unknown {
  const isMarked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8', isMarked ? 3 : 0));
  } catch {
    throw new FaceError('REQUEST_MALFORMED', 'The request cannot be read: its JSON is malformed.');
  }
  refuseReservedKeys(value, path);
  return value;
}
