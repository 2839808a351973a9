import {
  type CallHandler,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { Response } from 'express';
import { map, type Observable } from 'rxjs';
import { FaceError } from '../../errors';
import { asObject, type JsonBodyLimits } from '../http/images/body-reader';
import {
  type ImageBodyPolicy,
  type ImageFields,
  type ReceivedField,
  splitFields,
} from '../http/images/image-body.policy';
import { tooManyImages } from '../http/images/parse-multipart';
import { LARGE_JSON_TOKENS, parseJson } from '../http/request/parse-json';
import type { AppRequest } from '../http/request/request-id';
import { setServerTiming } from '../http/request/server-timing';
import { invalidParameters } from '../http/request/validation';
import type { StageTimings } from '../../pipeline/face.types';

/** An encoded image, or an embedding in its place. */
export type DeepfaceImage = Uint8Array | number[];

/** A response with what its headers say. */
export interface Timed<T> {
  answer: T;
  /** Of its images, for `Server-Timing`. */
  timings: StageTimings[];
  /** Other headers, by name. */
  headers: Readonly<Record<string, string>>;
}

/** Parameter of a controller method: the fields other than images, validated by a pipe. */
export const DeepfaceOptions = createParamDecorator(
  (_data: undefined, context: ExecutionContext): unknown =>
    context.switchToHttp().getRequest<AppRequest>().body,
);

/** Sets the headers of a response and sends only its body. */
@Injectable()
export class DeepfaceHeadersInterceptor implements NestInterceptor<Timed<unknown>, unknown> {
  intercept(context: ExecutionContext, next: CallHandler<Timed<unknown>>): Observable<unknown> {
    const http = context.switchToHttp();
    return next.handle().pipe(
      map(({ answer, timings, headers }) => {
        const response = http.getResponse<Response>();
        setServerTiming(http.getRequest<AppRequest>(), response, timings);
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
        return answer;
      }),
    );
  }
}

/** Options that a form can repeat; of all others the first value counts, as in DeepFace. */
const LISTS = ['actions'];
/** More options than DeepFace has, because unknown ones are ignored. */
const MAX_OPTIONS = 32;
/** Options, and a list of images in fields of the same name. */
const MAX_FORM_FIELDS = 300;
/** Content types of a form, including those that curl sends by default. */
const TEXT_TYPES = ['application/x-www-form-urlencoded', 'text/plain', ''];

type Body = Record<string, unknown>;

/** Bodies of the DeepFace API: JSON, forms and multipart. */
export const DEEPFACE_BODY: ImageBodyPolicy = {
  contentTypes: 'JSON, multipart/form-data or a form',
  takesEmbeddingObjects: false,
  maxOptions: MAX_OPTIONS,
  text: { types: TEXT_TYPES, read: readText },
  // Up to 0.0.90, DeepFace names fields with the suffix `_path`.
  namesOf: (field) => [field, `${field}_path`],
  async split({ values, files }, { fields, takesEmbeddings }) {
    const names = fields.flatMap(DEEPFACE_BODY.namesOf);
    const fileValues = Object.entries(files).map(([name, list]) => [name, list.length > 1 ? list : list[0]]);
    const body = await withLists({ ...values, ...Object.fromEntries(fileValues) }, names);
    const fieldOf = (field: string): ReceivedField => {
      const name = DEEPFACE_BODY.namesOf(field).find((one) => isGiven(body[one])) ?? field;
      const value = body[name];
      if (!isGiven(value)) return { name, values: [], isList: false };
      if (!Array.isArray(value)) return { name, values: [value], isList: false };
      const isEmbedding = takesEmbeddings && value.every((item) => typeof item === 'number');
      return { name, values: value, isList: true, embedding: isEmbedding ? value : undefined };
    };
    return splitFields(body, fields, fieldOf, (name) => names.includes(name));
  },
  checkField(field, { name, values, isList, embedding }, { takesLists }, maxImages) {
    if (values.length === 0) {
      throw new FaceError('IMAGE_MISSING', `'${field}' not found in the JSON or the form of the request.`, {
        field,
      });
    }
    if (!isList || embedding != null) return;
    if (!takesLists) {
      throw invalidParameters(
        { [name]: 'must be one image, or an embedding: a list of numbers' },
        { field: name },
      );
    }
    if (values.length > maxImages) throw tooManyImages(name, maxImages);
  },
  // DeepFace treats null and empty options as absent.
  optionsOf: (options) =>
    Object.fromEntries(
      Object.entries(options)
        .map(([name, value]): [string, unknown] => [
          name,
          Array.isArray(value) && !LISTS.includes(name) ? (value as unknown[])[0] : value,
        ])
        .filter(([, value]) => value != null && value !== ''),
    ),
};

/** Whether DeepFace treats a value as an image: anything truthy in Python. */
function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value != null && value !== '' && value !== false;
}

/** Reads a form, or JSON without its content type, as in DeepFace's curl samples. */
async function readText(bytes: Buffer, { fields }: ImageFields, limits: JsonBodyLimits): Promise<Body> {
  const text = bytes.toString();
  if (text.trimStart().startsWith('{')) return asObject(await parseJson(bytes, limits));
  if (text.split('&', MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) {
    throw new FaceError('REQUEST_TOO_LARGE', `Expected a form of at most ${MAX_FORM_FIELDS} fields.`);
  }
  const form = new URLSearchParams(text);
  const names = fields.flatMap(DEEPFACE_BODY.namesOf);
  return Object.fromEntries(
    [...new Set(form.keys())].map((key) => {
      // An unescaped plus sign of base64 is decoded as a space, which is not part of base64.
      const values = form
        .getAll(key)
        .map((value) => (names.includes(key) ? value.replaceAll(' ', '+') : value));
      return [key, values.length > 1 ? values : values[0]];
    }),
  );
}

/** Parses lists in image fields that were sent as text, as in a form. */
async function withLists(body: Body, names: readonly string[]): Promise<Body> {
  for (const name of names) {
    const value = body[name];
    if (typeof value !== 'string' || !value.startsWith('[')) continue;
    body[name] = await parseJson(Buffer.from(value), { maxTokens: LARGE_JSON_TOKENS });
  }
  return body;
}
