import {
  type CallHandler,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Response } from 'express';
import { map, type Observable } from 'rxjs';
import { assertThresholds } from '../http/auth/key-limits';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';
import { asObject, BodyReader, hasBody, type JsonBodyLimits } from '../http/images/body-reader';
import { ImageFetcher } from '../http/images/fetch-image';
import { largeJson, SMALL_BODY_BYTES } from '../http/request/json-body';
import { mediaType } from '../http/images/media-type';
import { type ImagePlace, type ImageUrl, parseImage } from '../http/images/parse-image';
import { LARGE_JSON_TOKENS, parseJson, SMALL_JSON_TOKENS } from '../http/request/parse-json';
import { maxFormBytes, parseMultipart, tooManyImages } from '../http/images/parse-multipart';
import { setServerTiming } from '../http/request/server-timing';
import { invalidParameters } from '../http/request/validation';
import type { StageTimings } from '../../pipeline/face.types';
import type { DeepfaceRequest } from './dialect';

/** Which images a route takes. */
export interface DeepfaceImageFields {
  /** Each may also come under the older name with `_path` behind it. */
  fields: readonly string[];
  /** A list of images is one answer each. */
  takesLists?: boolean;
  /** A list of numbers is an embedding. */
  takesEmbeddings?: boolean;
}

/** Metadata of a route: see {@link DeepfaceImageFields}. */
export const DeepfaceImages = Reflector.createDecorator<DeepfaceImageFields>();

/** An encoded image, or an embedding in its place. */
export type DeepfaceImage = Uint8Array | number[];

/** A controller's answer, with the timings of its images for the header. */
export interface Timed<T> {
  answer: T;
  timings: StageTimings[];
}

interface PlacedImage {
  place: ImagePlace;
  image: Uint8Array | ImageUrl;
}

interface ParsedField {
  field: string;
  content: PlacedImage | PlacedImage[] | number[];
}

interface ReadRequest extends DeepfaceRequest {
  images: Record<string, DeepfaceImage | DeepfaceImage[]>;
  options: Record<string, unknown>;
}

/** Parameter of a controller method: what came for an image field; a list where a list came. */
export const DeepfaceImageField = createParamDecorator(
  (field: string, context: ExecutionContext) =>
    context.switchToHttp().getRequest<ReadRequest>().images[field],
);

/** Parameter of a controller method: the fields beside the images; goes through a pipe that makes a DTO of them. */
export const DeepfaceOptions = createParamDecorator(
  (_data: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<ReadRequest>().options,
);

/** Options that a form may give several times; of others the first one counts, as in DeepFace. */
const LISTS = ['actions'];
/** More than DeepFace has, as unknown ones are passed over. */
const MAX_OPTIONS = 32;
/** Options, and a list of images in fields of the same name. */
const MAX_FORM_FIELDS = 300;
/** A form, or what curl calls one for want of a content type. */
const TEXT_TYPES = ['application/x-www-form-urlencoded', 'text/plain', ''];

type Body = Record<string, unknown>;

/** Reads JSON, forms and multipart, as the DeepFace API takes them; sets `Server-Timing`. */
@Injectable()
export class DeepfaceBodyInterceptor implements NestInterceptor<Timed<unknown>, unknown> {
  constructor(
    private readonly config: AppConfig,
    private readonly bodies: BodyReader,
    private readonly reflector: Reflector,
  ) {}

  async intercept(
    context: ExecutionContext,
    next: CallHandler<Timed<unknown>>,
  ): Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const request = http.getRequest<ReadRequest>();
    const response = http.getResponse<Response>();
    const route = this.reflector.get(DeepfaceImages, context.getHandler()) ?? { fields: [] };
    const body = await withLists(await this.read(request, response, route), route);
    assertThresholds(request.apiKey, body);
    // All are checked before one is fetched.
    const parsed = route.fields.map((field) => this.imagesOf(body, field, route));
    request.images = await this.fetched(parsed, response);
    request.options = optionsOf(body, route);
    return next.handle().pipe(
      map(({ answer, timings }) => {
        setServerTiming(request, response, timings);
        return answer;
      }),
    );
  }

  private async read(
    request: DeepfaceRequest,
    response: Response,
    route: DeepfaceImageFields,
  ): Promise<Body> {
    const type = mediaType(request);
    if (type === 'multipart/form-data') return this.readMultipart(request, response, route);
    const limits = this.jsonLimits(route);
    if (type === 'application/json') return this.bodies.readJson(request, response, limits);
    if (!TEXT_TYPES.includes(type)) {
      throw new FaceError('CONTENT_TYPE_UNSUPPORTED', 'Expected JSON, multipart/form-data or a form.');
    }
    if (!hasBody(request)) return {};
    const bytes = await this.bodies.read(request, response, limits);
    return readText(bytes, route, limits);
  }

  private async readMultipart(
    request: DeepfaceRequest,
    response: Response,
    route: DeepfaceImageFields,
  ): Promise<Body> {
    const fields = route.fields.flatMap(namesOf);
    const maxImages = this.maxImages(route);
    const { maxImageBytes } = this.config.face;
    const maxBytes = maxFormBytes(route.fields.length * maxImages, maxImageBytes, SMALL_BODY_BYTES);
    const body = await this.bodies.read(request, response, {
      maxBytes,
      holdsImages: route.fields.length > 0,
    });
    const { texts, files } = parseMultipart(body, request.headers['content-type'] ?? '', {
      fields,
      maxImages,
      maxOptions: MAX_OPTIONS,
      maxOptionBytes: SMALL_BODY_BYTES,
    });
    request.hasFiles = Object.keys(files).length > 0;
    const fileFields = Object.entries(files).map(([field, list]) => [
      field,
      list.length > 1 ? list : list[0],
    ]);
    return { ...texts, ...Object.fromEntries(fileFields) };
  }

  private imagesOf(
    body: Body,
    field: string,
    { takesLists = false, takesEmbeddings = false }: DeepfaceImageFields,
  ): ParsedField {
    const name = namesOf(field).find((one) => isGiven(body[one])) ?? field;
    const value = body[name];
    const rules = { maxImageBytes: this.config.face.maxImageBytes, takesEmbeddings: false };
    const parse = (item: unknown, place: ImagePlace) => ({
      place,
      image: parseImage(item, place, rules) as Uint8Array | ImageUrl,
    });
    if (!isGiven(value)) {
      throw new FaceError('IMAGE_MISSING', `'${field}' not found in the JSON or the form of the request.`, {
        field,
      });
    }
    if (!Array.isArray(value)) return { field, content: parse(value, { field: name }) };
    if (takesEmbeddings && value.every((item) => typeof item === 'number')) {
      return { field, content: value as number[] };
    }
    if (!takesLists) {
      const problem = 'must be one image, or an embedding: a list of numbers';
      throw invalidParameters({ [name]: problem }, { field: name });
    }
    const { maxImages } = this.config;
    if (value.length > maxImages) throw tooManyImages(name, maxImages);
    return { field, content: value.map((item, index) => parse(item, { field: name, index })) };
  }

  /** Images by field, with what is at them in the place of addresses. */
  private async fetched(
    parsed: readonly ParsedField[],
    response: Response,
  ): Promise<Record<string, DeepfaceImage | DeepfaceImage[]>> {
    const fetcher = new ImageFetcher(this.config, response);
    const resolve = ({ image, place }: PlacedImage) => ('url' in image ? fetcher.fetch(image, place) : image);
    const fields = parsed.map(async ({ field, content }) => [
      field,
      !Array.isArray(content)
        ? await resolve(content)
        : isEmbedding(content)
          ? content
          : await Promise.all(content.map(resolve)),
    ]);
    return Object.fromEntries(await fetcher.all(fields)) as Record<string, DeepfaceImage>;
  }

  private jsonLimits({ fields, takesEmbeddings = false }: DeepfaceImageFields): JsonBodyLimits {
    if (fields.length > 0) return { ...largeJson(this.config), holdsImages: !takesEmbeddings };
    return { maxBytes: SMALL_BODY_BYTES, maxTokens: SMALL_JSON_TOKENS };
  }

  private maxImages({ takesLists }: DeepfaceImageFields): number {
    return takesLists ? this.config.maxImages : 1;
  }
}

function isEmbedding(content: PlacedImage[] | number[]): content is number[] {
  return typeof content[0] === 'number';
}

function namesOf(field: string): string[] {
  return [field, `${field}_path`];
}

/** What DeepFace takes for an image: anything that Python finds true. */
function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value != null && value !== '' && value !== false;
}

/** A form, or JSON that was sent without a content type of its own: DeepFace's curl samples do. */
async function readText(
  bytes: Buffer,
  { fields }: DeepfaceImageFields,
  limits: JsonBodyLimits,
): Promise<Body> {
  const text = bytes.toString();
  if (text.trimStart().startsWith('{')) return asObject(await parseJson(bytes, limits));
  if (text.split('&', MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) {
    throw new FaceError('REQUEST_TOO_LARGE', `Expected a form of at most ${MAX_FORM_FIELDS} fields.`);
  }
  const form = new URLSearchParams(text);
  const names = fields.flatMap(namesOf);
  return Object.fromEntries(
    [...new Set(form.keys())].map((key) => {
      // A plus sign of base64 that was not escaped reads as a space, which base64 has not.
      const values = form
        .getAll(key)
        .map((value) => (names.includes(key) ? value.replaceAll(' ', '+') : value));
      return [key, values.length > 1 ? values : values[0]];
    }),
  );
}

/** The body with the lists of its image fields that came as text, as in a form, in their place. */
async function withLists(body: Body, { fields }: DeepfaceImageFields): Promise<Body> {
  for (const name of fields.flatMap(namesOf)) {
    const value = body[name];
    if (typeof value !== 'string' || !value.startsWith('[')) continue;
    body[name] = await parseJson(Buffer.from(value), { maxTokens: LARGE_JSON_TOKENS });
  }
  return body;
}

/** The fields that are no images; what is null or empty passes for absent. */
function optionsOf(body: Body, { fields }: DeepfaceImageFields): Record<string, unknown> {
  const images = fields.flatMap(namesOf);
  const options = Object.entries(body).map(([name, value]) => [
    name,
    Array.isArray(value) && !LISTS.includes(name) ? (value as unknown[])[0] : value,
  ]);
  return Object.fromEntries(
    options.filter(([name, value]) => !images.includes(name as string) && value != null && value !== ''),
  ) as Record<string, unknown>;
}
