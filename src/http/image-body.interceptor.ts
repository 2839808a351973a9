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
import { AppConfig } from '../config/app.config';
import { FaceError } from '../errors';
import { type ImageInput, missingImage, parseImage } from './parse-image';
import { readMultipart, tooManyImages } from './read-multipart';
import type { AppRequest } from './request-id';

/** Which images a route takes. */
export interface ImageFields {
  /** Names of the image fields; all are required. */
  fields: readonly string[];
  /** True where a field takes an embedding instead of an image. */
  takesEmbeddings?: boolean;
  /** True where a field takes several images. */
  takesLists?: boolean;
}

/** Metadata of a route: see {@link ImageFields}. */
export const ImageFieldsOf = Reflector.createDecorator<ImageFields>();

interface ImageRequest extends AppRequest {
  images: Record<string, ImageInput | ImageInput[]>;
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
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<ImageRequest>();
    const route = this.reflector.get(ImageFieldsOf, context.getHandler());
    const raw = await this.read(request, context.switchToHttp().getResponse<Response>(), route);
    request.body = raw.options;
    request.images = Object.fromEntries(route.fields.map((field) => [field, this.parse(field, raw, route)]));
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw route.fields.length === 1 ? withField(error, route.fields[0]) : error;
      }),
    );
  }

  private read(request: ImageRequest, response: Response, route: ImageFields): Promise<RawBody> | RawBody {
    switch (mediaType(request)) {
      case 'multipart/form-data':
        return this.readForm(request, response, route);
      case 'application/json':
        return readJson(request.body, route);
      default:
        throw new FaceError(
          'CONTENT_TYPE_UNSUPPORTED',
          'Expected Content-Type application/json or multipart/form-data.',
        );
    }
  }

  private async readForm(request: ImageRequest, response: Response, route: ImageFields): Promise<RawBody> {
    const { texts, files } = await readMultipart(request, response, {
      fields: route.fields,
      maxImages: this.maxImages(route),
      maxImageBytes: this.config.face.maxImageBytes,
    });
    return splitBody(texts, route, (field) => {
      const values = [files[field] ?? [], texts[field] ?? []].flat();
      return { values, isList: values.length > 1 };
    });
  }

  private parse(field: string, raw: RawBody, route: ImageFields): ImageInput | ImageInput[] {
    const { values, isList } = raw.images[field];
    const rules = {
      maxImageBytes: this.config.face.maxImageBytes,
      takesEmbeddings: route.takesEmbeddings ?? false,
    };
    if (values.length === 0) throw missingImage({ field });
    if (values.length > this.maxImages(route)) throw tooManyImages(field, this.maxImages(route));
    if (!isList) return parseImage(values[0], { field }, rules);
    return values.map((value, index) => parseImage(value, { field, index }, rules));
  }

  private maxImages(route: ImageFields): number {
    return route.takesLists ? this.config.maxImages : 1;
  }
}

function readJson(body: unknown, route: ImageFields): RawBody {
  if (Array.isArray(body)) throw new FaceError('REQUEST_MALFORMED', 'Expected a JSON object.');
  // Without a body there is nothing for the JSON parser to parse.
  const object = (body ?? {}) as Record<string, unknown>;
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

function mediaType(request: AppRequest): string {
  return (request.get('content-type') ?? '').split(';')[0].trim().toLowerCase();
}

/** Errors of an image say which field it came in: here there is only one. */
function withField(error: unknown, field: string): unknown {
  const isOfImage = error instanceof FaceError && /^(IMAGE|FACE)_/.test(error.code);
  return isOfImage ? error.withDetails({ field, ...error.details }) : error;
}
