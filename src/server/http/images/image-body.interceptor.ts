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
import { BodyReader, hasBody, type JsonBodyLimits } from './body-reader';
import { ImageFetcher } from './fetch-image';
import {
  type ImageBodyPolicy,
  type ImageFields,
  LIKENESS_BODY,
  type ReceivedBody,
  type ReceivedField,
} from './image-body.policy';
import { largeJson, SMALL_BODY_BYTES } from '../request/json-body';
import { mediaType } from './media-type';
import { type ImageInput, type ImagePlace, type ImageUrl, parseImage } from './parse-image';
import { SMALL_JSON_TOKENS } from '../request/parse-json';
import { maxFormBytes, parseMultipart } from './parse-multipart';
import type { AppRequest } from '../request/request-id';

/** Metadata of a route: see {@link ImageFields}. */
export const ImageFieldsOf = Reflector.createDecorator<ImageFields>();

/** An image of the request; a FaceError only if the route keeps errors, numbers only if its API accepts them. */
type ParsedImage = ImageInput | FaceError | number[];

interface ImageRequest extends AppRequest {
  images: Record<string, ParsedImage | ParsedImage[]>;
  /** Whether an image was sent as a file. */
  hasFiles?: boolean;
}

/** An image with its place in the request, fetched or not. */
interface PlacedImage {
  place: ImagePlace;
  image: ParsedImage | ImageUrl;
}

/** Parameter of a controller method: the image field of that name, a list if several were sent. */
export const ImageField = createParamDecorator(
  (field: string, context: ExecutionContext) =>
    context.switchToHttp().getRequest<ImageRequest>().images[field],
);

/**
 * Splits a body into images for {@link ImageField} and the rest for `@Body()`. The {@link ImageBodyPolicy} of the route
 * defines the format of its API.
 *
 * Invalid input is rejected before any image is processed, with the name of the field.
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
    const response = context.switchToHttp().getResponse<Response>();
    const route = this.reflector.get(ImageFieldsOf, context.getHandler());
    const policy = route.policy ?? LIKENESS_BODY;
    const { images, options } = await policy.split(await this.read(request, response, route, policy), route);
    assertThresholds(request.apiKey, options);
    request.body = policy.optionsOf(options);
    // Validate all before fetching any.
    const parsed = route.fields.map(
      (field) => [field, this.parse(field, images[field], route, policy)] as const,
    );
    request.images = await this.fetchAll(parsed, route, response);
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw route.fields.length === 1 ? withField(error, route.fields[0]) : error;
      }),
    );
  }

  private async read(
    request: ImageRequest,
    response: Response,
    route: ImageFields,
    policy: ImageBodyPolicy,
  ): Promise<ReceivedBody> {
    const type = mediaType(request);
    if (type === 'multipart/form-data') return this.readMultipart(request, response, route, policy);
    const limits = this.jsonLimits(route);
    const received = (values: Record<string, unknown>) => ({ values, files: {}, isMultipart: false });
    if (type === 'application/json') return received(await this.bodies.readJson(request, response, limits));
    if (!policy.text?.types.includes(type)) {
      throw new FaceError('CONTENT_TYPE_UNSUPPORTED', `Expected ${policy.contentTypes}.`);
    }
    if (!hasBody(request)) return received({});
    const bytes = await this.bodies.read(request, response, limits);
    return received(await policy.text.read(bytes, route, limits));
  }

  private jsonLimits({ fields, takesEmbeddings = false }: ImageFields): JsonBodyLimits {
    if (fields.length === 0) return { maxBytes: SMALL_BODY_BYTES, maxTokens: SMALL_JSON_TOKENS };
    // JSON with embeddings can be as large as JSON with images, but needs no worker.
    return { ...largeJson(this.config), holdsImages: takesEmbeddings === false };
  }

  private async readMultipart(
    request: ImageRequest,
    response: Response,
    { fields, itemsIn, takesLists }: ImageFields,
    { namesOf, maxOptions }: ImageBodyPolicy,
  ): Promise<ReceivedBody> {
    const maxImages = this.maxImages(takesLists);
    const maxOptionBytes = itemsIn == null ? SMALL_BODY_BYTES : this.config.maxJsonBytes;
    const { maxImageBytes } = this.config.face;
    const body = await this.bodies.read(request, response, {
      maxBytes: maxFormBytes(fields.length * maxImages, maxImageBytes, maxOptionBytes),
      holdsImages: fields.length > 0,
    });
    const { texts, files } = parseMultipart(body, request.headers['content-type'] ?? '', {
      fields: fields.flatMap(namesOf),
      maxImages,
      maxOptions,
      maxOptionBytes,
    });
    request.hasFiles = Object.keys(files).length > 0;
    return { values: texts, files, isMultipart: true };
  }

  private parse(
    field: string,
    received: ReceivedField,
    route: ImageFields,
    policy: ImageBodyPolicy,
  ): PlacedImage | PlacedImage[] {
    policy.checkField(field, received, route, this.maxImages(route.takesLists));
    const { name, values, isList, embedding } = received;
    if (embedding != null) return { place: { field: name }, image: embedding };
    const rules = {
      maxImageBytes: this.config.face.maxImageBytes,
      takesEmbeddings: policy.takesEmbeddingObjects && Boolean(route.takesEmbeddings),
    };
    const parse = (value: unknown, place: ImagePlace) => ({ place, image: parseImage(value, place, rules) });
    if (!isList) return parse(values[0], { field: name });
    return values.map((value, index) => {
      const place = { field: name, index };
      if (!route.keepsErrors) return parse(value, place);
      try {
        return parse(value, place);
      } catch (error) {
        return { place, image: faceErrorOf(error) };
      }
    });
  }

  /** Replaces URLs with fetched images. */
  private async fetchAll(
    parsed: readonly (readonly [string, PlacedImage | PlacedImage[]])[],
    route: ImageFields,
    response: Response,
  ): Promise<ImageRequest['images']> {
    const fetcher = new ImageFetcher(this.config, response);
    const resolve = async ({ image, place }: PlacedImage): Promise<ParsedImage> => {
      if (!('url' in image)) return image;
      const fetched = fetcher.fetch(image, place);
      return route.keepsErrors ? fetched.catch(faceErrorOf) : fetched;
    };
    const fields = parsed.map(async ([field, content]) => [
      field,
      await (Array.isArray(content) ? Promise.all(content.map(resolve)) : resolve(content)),
    ]);
    return Object.fromEntries(await fetcher.all(fields)) as ImageRequest['images'];
  }

  private maxImages(takesLists = false): number {
    return takesLists ? this.config.maxImages : 1;
  }
}

/** @throws anything that is not a FaceError. */
function faceErrorOf(error: unknown): FaceError {
  if (error instanceof FaceError) return error;
  throw error;
}

/** Adds the field to errors of an image, for routes with a single field. */
function withField(error: unknown, field: string): unknown {
  const isOfImage = error instanceof FaceError && /^(IMAGE|FACE|PRESENTATION)_/.test(error.code);
  return isOfImage ? error.withDetails({ field, ...error.details }) : error;
}
