import {
  type CallHandler,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Response } from 'express';
import { catchError, type Observable } from 'rxjs';
import { assertThresholds } from '../auth/key-limits';
import { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { BodyReader, type JsonBodyLimits } from './body-reader';
import { ImageFetcher } from './fetch-image';
import { largeJson, SMALL_BODY_BYTES } from '../request/json-body';
import { mediaType } from './media-type';
import {
  type ImageInput,
  type ImagePlace,
  type ImageUrl,
  isUrlObject,
  missingImage,
  parseImage,
} from './parse-image';
import { LARGE_JSON_TOKENS, parseJson } from '../request/parse-json';
import { maxFormBytes, parseMultipart, tooManyImages } from './parse-multipart';
import type { AppRequest } from '../request/request-id';
import { invalidParameters } from '../request/validation';

/** Which images a route takes. */
export interface ImageFields {
  /** Names of the image fields; all are required. */
  fields: readonly string[];
  /**
   * True where a field takes an embedding instead of an image; `beside` where `embedding` and `contract` stand beside the
   * options, in the place of the one field.
   */
  takesEmbeddings?: boolean | 'beside';
  /** True where a field takes several images. */
  takesLists?: boolean;
  /** True where an image of a list that cannot be read is a failure of its own: {@link ImageField} has the FaceError. */
  keepsErrors?: boolean;
  /**
   * Name of a list of objects to which the images belong, one each: in the object, or, in multipart, among the files, in
   * the order of the objects that have none. The list, without the images, is left in the body.
   */
  itemsIn?: string;
}

/** Metadata of a route: see {@link ImageFields}. */
export const ImageFieldsOf = Reflector.createDecorator<ImageFields>();

/** What came in for an image; a FaceError only where the route keeps errors. */
type ParsedImage = ImageInput | FaceError;

interface ImageRequest extends AppRequest {
  images: Record<string, ParsedImage | ParsedImage[]>;
}

/** Parameter of a controller method: the image field of that name, a list where several came in. */
export const ImageField = createParamDecorator(
  (field: string, context: ExecutionContext) =>
    context.switchToHttp().getRequest<ImageRequest>().images[field],
);

/** Values of the image fields as they came in, and the rest of the body. */
interface RawBody {
  images: Record<string, { values: unknown[]; isList: boolean }>;
  options: Record<string, unknown>;
}

/**
 * Takes the images out of a multipart or JSON body: they go to {@link ImageField}, what is left to `@Body()`.
 *
 * What cannot be read is refused before any image is worked on, with the name of the field.
 */
@Injectable()
export class ImageBodyInterceptor implements NestInterceptor {
  constructor(
    private readonly config: AppConfig,
    private readonly bodies: BodyReader,
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<ImageRequest>();
    const route = this.reflector.get(ImageFieldsOf, context.getHandler());
    const response = context.switchToHttp().getResponse<Response>();
    const raw = await this.read(request, response, route);
    assertThresholds(request.apiKey, raw.options);
    request.body = raw.options;
    // All are checked before one is fetched.
    const parsed = route.fields.map((field) => [field, this.parse(field, raw, route)] as const);
    request.images = await this.fetchAll(parsed, route, response);
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw route.fields.length === 1 ? withField(error, route.fields[0]) : error;
      }),
    );
  }

  private async read(request: ImageRequest, response: Response, route: ImageFields): Promise<RawBody> {
    switch (mediaType(request)) {
      case 'multipart/form-data':
        return this.readForm(request, response, route);
      case 'application/json':
        return splitJson(await this.bodies.readJson(request, response, this.jsonLimits(route)), route);
      default:
        throw new FaceError(
          'CONTENT_TYPE_UNSUPPORTED',
          'Expected Content-Type application/json or multipart/form-data.',
        );
    }
  }

  /** JSON with embeddings needs no worker, and is as large as JSON with images. */
  private jsonLimits({ takesEmbeddings = false }: ImageFields): JsonBodyLimits {
    return { ...largeJson(this.config), holdsImages: takesEmbeddings === false };
  }

  private async readForm(request: ImageRequest, response: Response, route: ImageFields): Promise<RawBody> {
    const { fields, itemsIn } = route;
    const maxImages = this.maxImages(route);
    const maxOptionBytes = itemsIn == null ? SMALL_BODY_BYTES : this.config.maxJsonBytes;
    const { maxImageBytes } = this.config.face;
    const maxBytes = maxFormBytes(fields.length * maxImages, maxImageBytes, maxOptionBytes);
    const body = await this.bodies.read(request, response, { maxBytes, holdsImages: true });
    const type = request.headers['content-type'] ?? '';
    const { texts, files } = parseMultipart(body, type, { fields, maxImages, maxOptionBytes });
    if (itemsIn != null) {
      const items = await parseItems(texts[itemsIn], itemsIn);
      return splitItems({ ...texts, [itemsIn]: items }, route, itemsIn, files[fields[0]] ?? []);
    }
    return splitBody(texts, route, (field) => {
      const values = [files[field] ?? [], texts[field] ?? []].flat();
      return { values, isList: values.length > 1 };
    });
  }

  /** Puts what is at them in the place of addresses. */
  private async fetchAll(
    parsed: readonly (readonly [string, ReturnType<ImageBodyInterceptor['parse']>])[],
    route: ImageFields,
    response: Response,
  ): Promise<ImageRequest['images']> {
    const fetcher = new ImageFetcher(this.config, response);
    const resolve = async (image: ParsedImage | ImageUrl, place: ImagePlace): Promise<ParsedImage> => {
      if (!('url' in image)) return image;
      const fetched = fetcher.fetch(image, place);
      return route.keepsErrors ? fetched.catch(faceErrorOf) : fetched;
    };
    const fields = parsed.map(async ([field, value]) => [
      field,
      await (Array.isArray(value)
        ? Promise.all(value.map((one, index) => resolve(one, { field, index })))
        : resolve(value, { field })),
    ]);
    return Object.fromEntries(await fetcher.all(fields)) as ImageRequest['images'];
  }

  private parse(
    field: string,
    raw: RawBody,
    route: ImageFields,
  ): ParsedImage | ImageUrl | (ParsedImage | ImageUrl)[] {
    const { values, isList } = raw.images[field];
    const rules = {
      maxImageBytes: this.config.face.maxImageBytes,
      takesEmbeddings: Boolean(route.takesEmbeddings),
    };
    if (values.length === 0) throw missingImage({ field });
    const imageCount = values.filter(
      (value) => typeof value === 'string' || Buffer.isBuffer(value) || isUrlObject(value),
    ).length;
    if (imageCount > this.maxImages(route)) throw tooManyImages(field, this.maxImages(route));
    if (!isList) return parseImage(values[0], { field }, rules);
    return values.map((value, index) => {
      const parse = () => parseImage(value, { field, index }, rules);
      return route.keepsErrors ? orError(parse) : parse();
    });
  }

  private maxImages(route: ImageFields): number {
    return route.takesLists ? this.config.maxImages : 1;
  }
}

function splitJson(object: Record<string, unknown>, route: ImageFields): RawBody {
  if (route.itemsIn != null) return splitItems(object, route, route.itemsIn, []);
  if (route.takesEmbeddings === 'beside') {
    const [field] = route.fields;
    const { image, rest } = takeImage(object, field);
    const isList = route.takesLists === true && Array.isArray(image);
    return { images: { [field]: { values: isList ? image : [image], isList } }, options: rest };
  }
  return splitBody(object, route, (field) => {
    const value = object[field];
    return route.takesLists && Array.isArray(value)
      ? { values: value, isList: true }
      : { values: [value], isList: false };
  });
}

function splitBody(
  body: Record<string, unknown>,
  { fields }: ImageFields,
  imagesOf: (field: string) => RawBody['images'][string],
): RawBody {
  return {
    images: Object.fromEntries(fields.map((field) => [field, imagesOf(field)])),
    options: Object.fromEntries(Object.entries(body).filter(([name]) => !fields.includes(name))),
  };
}

function splitItems(
  body: Record<string, unknown>,
  { fields: [field] }: ImageFields,
  itemsIn: string,
  files: readonly Buffer[],
): RawBody {
  const { [itemsIn]: list, ...options } = body;
  const taken = objectsOf(list, itemsIn).map((item) => takeImage(item, field));
  const waiting = [...files];
  const values = taken.map(({ image }) => image ?? waiting.shift());
  if (waiting.length > 0) {
    throw invalidParameters({
      [itemsIn]: `must have an item without ${field} for each file, but ${waiting.length} are left over`,
    });
  }
  return {
    images: { [field]: { values, isList: true } },
    options: { ...options, [itemsIn]: taken.map(({ rest }) => rest) },
  };
}

/** Takes the image out of an object, or the embedding that stands in its place. */
function takeImage(
  object: Record<string, unknown>,
  field: string,
): { image: unknown; rest: Record<string, unknown> } {
  const { [field]: image, ...rest } = object;
  if (rest.embedding == null) return { image, rest };
  if (image != null) throw invalidParameters({ embedding: `must not stand beside ${field}` });
  const { embedding, contract, embeddingNorm, ...others } = rest;
  return { image: { embedding, contract, embeddingNorm }, rest: others };
}

function objectsOf(value: unknown, name: string): Record<string, unknown>[] {
  const isObject = (item: unknown) => typeof item === 'object' && item != null && !Array.isArray(item);
  if (!Array.isArray(value) || value.length === 0 || !value.every(isObject)) {
    throw invalidParameters({ [name]: 'must be a list of objects, one at least' });
  }
  return value as Record<string, unknown>[];
}

/** The list of a form, where it is JSON text. */
async function parseItems(text: unknown, name: string): Promise<unknown> {
  if (typeof text !== 'string') return text;
  try {
    return await parseJson(Buffer.from(text), { maxTokens: LARGE_JSON_TOKENS });
  } catch (error) {
    if (error instanceof FaceError && error.code !== 'REQUEST_MALFORMED') throw error;
    throw invalidParameters({ [name]: 'is malformed JSON' });
  }
}

function orError<T>(work: () => T): T | FaceError {
  try {
    return work();
  } catch (error) {
    return faceErrorOf(error);
  }
}

/** @throws what is no FaceError. */
function faceErrorOf(error: unknown): FaceError {
  if (error instanceof FaceError) return error;
  throw error;
}

/** Errors of an image say which field it came in: here there is only one. */
function withField(error: unknown, field: string): unknown {
  const isOfImage = error instanceof FaceError && /^(IMAGE|FACE|PRESENTATION)_/.test(error.code);
  return isOfImage ? error.withDetails({ field, ...error.details }) : error;
}
