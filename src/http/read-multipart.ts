import type { Request, Response } from 'express';
import multer, { MulterError } from 'multer';
import { constants } from 'node:buffer';
import { FaceError } from '../errors';
import { imageTooLarge } from './parse-image';
import { invalidParameters } from './validation';

/** What a multipart body may hold. */
export interface MultipartRules {
  /** Names of the image fields. */
  fields: readonly string[];
  /** Most images per field. */
  maxImages: number;
  maxImageBytes: number;
  /** Most text parts beside the images. @defaultValue {@link MAX_OPTIONS} */
  maxOptions?: number;
}

/** Text parts by name, several of a name as a list, and files by image field. */
export interface MultipartBody {
  texts: Record<string, string | string[]>;
  files: Record<string, Buffer[]>;
}

/** More option fields than any of our own routes has. */
const MAX_OPTIONS = 8;
/** Room beside an image, or instead of one: for a data URI's prefix, options, or an embedding as JSON. */
const SLACK_BYTES = 256 * 1024;
const MAX_NAME_BYTES = 100;

/** Bytes of text that hold one image as base64, as far as a string can be that long. */
function maxTextBytes(maxImageBytes: number): number {
  return Math.min(constants.MAX_STRING_LENGTH, Math.ceil(maxImageBytes / 3) * 4 + SLACK_BYTES);
}

/**
 * Reads a multipart body into memory, within limits.
 *
 * @throws {FaceError} IMAGE_TOO_LARGE, REQUEST_TOO_LARGE, PARAMETER_INVALID with the field; REQUEST_MALFORMED.
 */
export async function readMultipart(
  request: Request,
  response: Response,
  rules: MultipartRules,
): Promise<MultipartBody> {
  const images = rules.fields.length * rules.maxImages;
  const { maxOptions = MAX_OPTIONS } = rules;
  const upload = multer({
    storage: multer.memoryStorage(),
    limits: {
      fileSize: rules.maxImageBytes,
      // One more than is allowed: multer then names the field that is over its own limit.
      files: images + 1,
      fieldSize: maxTextBytes(rules.maxImageBytes),
      fields: images + maxOptions,
      parts: 2 * images + maxOptions + 1,
      fieldNameSize: MAX_NAME_BYTES,
      fieldNestingDepth: 0,
    },
  }).fields(rules.fields.map((name) => ({ name, maxCount: rules.maxImages })));
  await new Promise<void>((resolve, reject) => {
    void upload(request, response, (error?: unknown) =>
      error == null ? resolve() : reject(refusal(error, rules)),
    );
  });
  const files = (request.files ?? {}) as Record<string, Express.Multer.File[]>;
  return {
    texts: { ...(request.body as MultipartBody['texts']) },
    files: Object.fromEntries(
      Object.entries(files).map(([field, list]) => [field, list.map((file) => file.buffer)]),
    ),
  };
}

export function tooManyImages(field: string, maxImages: number): FaceError {
  const images = maxImages === 1 ? '1 image' : `${maxImages} images`;
  return new FaceError('REQUEST_TOO_LARGE', `Expected at most ${images} for ${field}.`, { field, maxImages });
}

function refusal(error: unknown, rules: MultipartRules): FaceError {
  // Everything else that ends the reading is busboy's complaint about the form of the body, or the client's leaving.
  const { code, field }: { code?: string; field?: string } = error instanceof MulterError ? error : {};
  switch (code) {
    case 'LIMIT_FILE_SIZE':
      return imageTooLarge({ field: field ?? rules.fields[0] }, rules.maxImageBytes);
    case 'LIMIT_FIELD_VALUE':
      return isImage(field, rules)
        ? imageTooLarge({ field }, rules.maxImageBytes)
        : invalidField(field, 'is too long');
    case 'LIMIT_UNEXPECTED_FILE':
      return isImage(field, rules)
        ? tooManyImages(field, rules.maxImages)
        : invalidField(field, 'takes no file');
    case 'LIMIT_FILE_COUNT':
    case 'LIMIT_FIELD_COUNT':
    case 'LIMIT_PART_COUNT':
      return new FaceError('REQUEST_TOO_LARGE', 'The form has more parts than the route takes.');
    case 'LIMIT_FIELD_NESTING':
      return invalidField(field, 'should not exist');
    default:
      return new FaceError('REQUEST_MALFORMED', 'The multipart body is malformed or incomplete.');
  }
}

function isImage(field: string | undefined, { fields }: MultipartRules): field is string {
  return field != null && fields.includes(field);
}

function invalidField(field: string | undefined, problem: string): FaceError {
  return invalidParameters({ [field ?? '']: problem });
}
