import { constants, isUtf8 } from 'node:buffer';
import { FaceError } from '../../../errors';
import { refuseReservedKeys } from '../request/parse-json';
import { invalidParameters } from '../request/validation';

/** Limits of a multipart body. */
export interface MultipartRules {
  /** Names of the image fields. */
  fields: readonly string[];
  /** Maximum number of images per field. */
  maxImages: number;
  /** Maximum number of text parts other than images. @defaultValue {@link MAX_OPTIONS} */
  maxOptions?: number;
  /** Maximum bytes of a text part other than images. */
  maxOptionBytes: number;
}

/** Text parts by name, as a list if a name is repeated, and files by image field, as views of the body. */
export interface MultipartBody {
  texts: Record<string, string | string[]>;
  files: Record<string, Buffer[]>;
}

interface Part {
  name: string;
  filename: string | undefined;
  /** Content type without its parameters; empty if absent. */
  type: string;
  charset: string;
  content: Buffer;
}

/** More option fields than any route has. */
const MAX_OPTIONS = 8;
const MAX_NAME_LENGTH = 100;
/** Allowance per image for the header of its part, the prefix of a data URI, or an embedding as JSON instead. */
const SLACK_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const BOUNDARY = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i;
/** Content types of parts without a file name that are text. */
const TEXT_TYPE = /^(text\/.*|application\/json|)$/;

/**
 * Parses a multipart/form-data body (RFC 7578).
 *
 * A part of an image field is an image if it has a file name, a content type other than text, or bytes that are not
 * text, because clients differ. An empty part with an empty file name is ignored: browsers send it for an empty input.
 *
 * @throws {FaceError} REQUEST_TOO_LARGE, PARAMETER_INVALID with the field; REQUEST_MALFORMED.
 */
export function parseMultipart(body: Buffer, contentType: string, rules: MultipartRules): MultipartBody {
  const { fields, maxImages, maxOptions = MAX_OPTIONS } = rules;
  const maxOptionBytes = Math.min(rules.maxOptionBytes, constants.MAX_STRING_LENGTH);
  const texts = new Map<string, string[]>();
  const files = new Map<string, Buffer[]>();
  const add = <T>(map: Map<string, T[]>, name: string, value: T) =>
    map.set(name, [...(map.get(name) ?? []), value]);
  let options = 0;
  for (const part of partsOf(body, contentType)) {
    const { name, content } = part;
    if (isLeftEmpty(part)) continue;
    if (!fields.includes(name)) {
      if (name.includes('[')) throw invalidParameters({ [name]: 'should not exist' });
      if (part.filename) throw invalidParameters({ [name]: 'must not be a file' });
      if (++options > maxOptions) {
        throw new FaceError('REQUEST_TOO_LARGE', 'The form has too many parts.');
      }
      if (content.length > maxOptionBytes) throw invalidParameters({ [name]: 'is too long' });
      add(texts, name, textOf(part));
      continue;
    }
    if (isImage(part)) add(files, name, content);
    else add(texts, name, textOf(part));
    if ((files.get(name)?.length ?? 0) + (texts.get(name)?.length ?? 0) > maxImages) {
      throw tooManyImages(name, maxImages);
    }
  }
  const named = Object.fromEntries(
    [...texts].map(([name, list]) => [name, list.length > 1 ? list : list[0]]),
  );
  refuseReservedKeys(named);
  return { texts: named, files: Object.fromEntries(files) };
}

/** Maximum size of a body with this many images, also as base64, and this many other bytes. */
export function maxFormBytes(images: number, maxImageBytes: number, maxOptionBytes: number): number {
  return images * (Math.ceil(maxImageBytes / 3) * 4 + SLACK_BYTES) + maxOptionBytes;
}

export function tooManyImages(field: string, maxImages: number): FaceError {
  const images = maxImages === 1 ? '1 image' : `${maxImages} images`;
  return new FaceError('REQUEST_TOO_LARGE', `Expected at most ${images} for ${field}.`, { field, maxImages });
}

function isImage({ filename, type, content }: Part): boolean {
  if (filename || !TEXT_TYPE.test(type)) return true;
  return content.includes(0) || !isUtf8(content);
}

function isLeftEmpty({ filename, type, content }: Part): boolean {
  return content.length === 0 && !filename && (filename === '' || !TEXT_TYPE.test(type));
}

function textOf({ name, charset, content }: Part): string {
  if (content.length > constants.MAX_STRING_LENGTH) throw invalidParameters({ [name]: 'is too long' });
  try {
    return new TextDecoder(charset).decode(content);
  } catch {
    throw malformed();
  }
}

/** Yields the parts in order, without preamble and epilogue. */
function* partsOf(body: Buffer, contentType: string): Generator<Part> {
  const [, quoted, bare] = BOUNDARY.exec(contentType) ?? [];
  const boundary = quoted ?? bare;
  if (boundary == null) throw malformed();
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const first = delimiter.subarray(2);
  let at = body.subarray(0, first.length).equals(first) ? first.length : after(body, delimiter, 0);
  for (;;) {
    if (body[at] === 0x2d && body[at + 1] === 0x2d) return;
    const headerStart = afterLine(body, at);
    const headerEnd = body.indexOf('\r\n\r\n', headerStart - 2);
    if (headerEnd < 0 || headerEnd - headerStart > MAX_HEADER_BYTES) throw malformed();
    // Without a header, the two line breaks are those of the boundary and of the empty line.
    const header = body.toString('utf8', headerStart, Math.max(headerStart, headerEnd));
    const begin = headerEnd + 4;
    // Without content, the line break of the boundary is that of the empty line.
    const end = body.indexOf(delimiter, begin - 2);
    if (end < 0) throw malformed();
    yield { ...parseHeader(header), content: body.subarray(begin, Math.max(begin, end)) };
    at = end + delimiter.length;
  }
}

function after(body: Buffer, delimiter: Buffer, from: number): number {
  const at = body.indexOf(delimiter, from);
  if (at < 0) throw malformed();
  return at + delimiter.length;
}

/** Position after the line break of a boundary, which can follow spaces. */
function afterLine(body: Buffer, from: number): number {
  let at = from;
  while (body[at] === 0x20 || body[at] === 0x09) at++;
  if (body[at] !== 0x0d || body[at + 1] !== 0x0a) throw malformed();
  return at + 2;
}

function parseHeader(text: string): Omit<Part, 'content'> {
  const lines = text.split('\r\n');
  const valueOf = (name: string) =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim() ?? '';
  const disposition = valueOf('content-disposition');
  const name = parameter(disposition, 'name');
  if (!/^form-data\s*(;|$)/i.test(disposition) || name == null || name.length > MAX_NAME_LENGTH) {
    throw malformed();
  }
  const type = valueOf('content-type');
  return {
    name,
    filename: parameter(disposition, 'filename') ?? parameter(disposition, 'filename*'),
    type: type.split(';')[0].trim().toLowerCase(),
    charset: parameter(type, 'charset') ?? 'utf-8',
  };
}

/**
 * Browsers encode quotes and line breaks of a name as %22, %0D and %0A; other clients escape a quote with a backslash.
 */
function parameter(header: string, name: string): string | undefined {
  const pattern = new RegExp(`;\\s*${name.replace('*', '\\*')}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;"]*))`, 'i');
  const [, quoted, bare] = pattern.exec(header) ?? [];
  const escapes: Record<string, string> = { '%22': '"', '%0D': '\r', '%0A': '\n' };
  return (
    quoted?.replace(/\\(["\\])/g, '$1').replace(/%22|%0D|%0A/gi, (escape) => escapes[escape.toUpperCase()]) ??
    bare
  );
}

function malformed(): FaceError {
  return new FaceError('REQUEST_MALFORMED', 'The multipart body is malformed or incomplete.');
}
