import { FaceError } from '../../../errors';
import type { EmbeddingInput } from '../../../face/represent-input';
import { parseShortJson } from '../request/parse-json';
import { invalidParameters } from '../request/validation';

/** Content of an image field: the bytes of an encoded image or, if the route accepts it, an embedding. */
export type ImageInput = Uint8Array | EmbeddingInput;

/** URL of an image to fetch. */
export interface ImageUrl {
  url: URL;
}

/** Place of an image in a request; `index` in lists only. */
export interface ImagePlace {
  field: string;
  index?: number;
}

/** Rules of a route for its images. */
export interface ImageRules {
  maxImageBytes: number;
  takesEmbeddings: boolean;
}

/** Part of a data URI before the comma. The media type is ignored, because the decoder decides. */
const DATA_URI_PREFIX = /^data:[^,]{0,255};base64,/i;

/** Unambiguous, because base64 contains no colon. */
const URL_PREFIX = /^\s*https?:/i;

/**
 * Parses one value of an image field to bytes, an embedding or a URL. Accepts file bytes, base64, a data URI, an http
 * or https URL (alone or as `url` of an object), or an embedding object (in multipart as JSON text).
 *
 * @throws {FaceError} IMAGE_MISSING, IMAGE_EMPTY, IMAGE_TOO_LARGE, PARAMETER_INVALID, EMBEDDING_INVALID, all with
 * `details.field`.
 */
export function parseImage(value: unknown, place: ImagePlace, rules: ImageRules): ImageInput | ImageUrl {
  if (value == null) throw missingImage(place);
  if (Buffer.isBuffer(value)) return checkSize(value.length, place, rules) && value;
  if (typeof value === 'string') {
    if (rules.takesEmbeddings && value.trimStart().startsWith('{'))
      return parseEmbedding(parseEmbeddingText(value, place), place);
    if (URL_PREFIX.test(value)) return parseUrl(value, place);
    return decodeBase64(value, place, rules);
  }
  if (isUrlObject(value)) return parseUrl(value.url, place);
  if (rules.takesEmbeddings && typeof value === 'object' && !Array.isArray(value))
    return parseEmbedding(value, place);
  throw invalidImage(
    place,
    `must be base64, a data URI or a URL${rules.takesEmbeddings ? ' or an object with embedding and contract' : ''}`,
  );
}

export function missingImage(place: ImagePlace): FaceError {
  return new FaceError('IMAGE_MISSING', `Expected an image for ${nameOf(place)}.`, { ...place });
}

export function imageTooLarge(place: ImagePlace, maxImageBytes: number): FaceError {
  return new FaceError('IMAGE_TOO_LARGE', `Expected at most ${maxImageBytes} bytes for ${nameOf(place)}.`, {
    ...place,
    maxImageBytes,
  });
}

function decodeBase64(value: string, place: ImagePlace, rules: ImageRules): Uint8Array {
  // Many tools break base64 into lines.
  const text = /\s/.test(value) ? value.replace(/\s+/g, '') : value;
  const prefix = DATA_URI_PREFIX.exec(text)?.[0].length ?? 0;
  const length = text.length - prefix;
  const padding = length === 0 ? 0 : text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const size = (length / 4) * 3 - padding;
  // Check the size before anything is allocated.
  checkSize(size, place, rules);
  const bytes = length % 4 === 0 ? Buffer.from(text.slice(prefix), 'base64') : undefined;
  // Node skips characters that are not base64, which makes the result shorter.
  if (bytes?.length !== size) {
    throw invalidImage(place, 'must be padded base64 or a data URI; file paths are not supported');
  }
  return bytes;
}

function checkSize(size: number, place: ImagePlace, { maxImageBytes }: ImageRules): true {
  if (size === 0)
    throw new FaceError('IMAGE_EMPTY', `Expected an image for ${nameOf(place)} but received 0 bytes.`, {
      ...place,
    });
  if (size > maxImageBytes) throw imageTooLarge(place, maxImageBytes);
  return true;
}

export function isUrlObject(value: unknown): value is { url: unknown } {
  return typeof value === 'object' && value != null && 'url' in value && Object.keys(value).length === 1;
}

function parseUrl(value: unknown, place: ImagePlace): ImageUrl {
  if (typeof value !== 'string' || !URL.canParse(value.trim()))
    throw invalidImage(place, 'must be a valid http or https URL');
  return { url: new URL(value.trim()) };
}

function parseEmbedding(value: object, place: ImagePlace): EmbeddingInput {
  const { embedding, contract, embeddingNorm, ...rest } = value as Record<string, unknown>;
  const unknown = Object.keys(rest)[0];
  if (unknown != null) throw invalidImage(place, 'must have only embedding, contract and embeddingNorm');
  if (!Array.isArray(embedding)) throw invalidImage(place, 'embedding must be a list of numbers');
  if (typeof contract !== 'string' || contract === '') throw invalidImage(place, 'contract must be a string');
  if (embeddingNorm !== undefined && !(Number.isFinite(embeddingNorm) && Number(embeddingNorm) > 0)) {
    throw invalidImage(place, 'embeddingNorm must be a number greater than 0');
  }
  // JSON encodes NaN as null.
  if (!embedding.every(Number.isFinite)) {
    throw new FaceError('EMBEDDING_INVALID', `Expected finite numbers for ${nameOf(place)}.`, { ...place });
  }
  return { embedding, contract, embeddingNorm: embeddingNorm as number | undefined };
}

function parseEmbeddingText(text: string, place: ImagePlace): object {
  try {
    return parseShortJson(text, nameOf(place)) as object;
  } catch (error) {
    if (error instanceof FaceError && error.code !== 'REQUEST_MALFORMED')
      throw error.withDetails({ ...place });
    throw invalidImage(place, 'must be valid JSON');
  }
}

function invalidImage(place: ImagePlace, problem: string): FaceError {
  return invalidParameters({ [nameOf(place)]: problem }, place);
}

export function nameOf({ field, index }: ImagePlace): string {
  return index == null ? field : `${field}[${index}]`;
}
