import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type Type,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiBody, ApiExtraModels, getSchemaPath } from '@nestjs/swagger';
import type { Response } from 'express';
import type { Observable } from 'rxjs';
import { AppConfig } from '../../config/app.config';
import { bodySchema } from '../openapi/body-content';
import { BodyReader, type JsonBodyLimits } from '../images/body-reader';
import { LARGE_JSON_TOKENS, SMALL_JSON_TOKENS } from './parse-json';
import type { AppRequest } from './request-id';

/** Maximum body size of a route without images and embeddings. */
export const SMALL_BODY_BYTES = 1024 * 1024;

/** `small`: up to {@link SMALL_BODY_BYTES}; `embeddings`: up to FACE_MAX_JSON_BYTES. */
type JsonBodySize = 'small' | 'embeddings';

interface JsonBodyDocs {
  /** DTO of the body. */
  type: Type;
  /** Body that can be sent as it is; absent: made of the examples of the properties. */
  example?: object;
}

const JsonBodySizeOf = Reflector.createDecorator<JsonBodySize>();

/** Reads the JSON body of a route, after its guards, for `@Body()`. */
@Injectable()
class JsonBodyInterceptor implements NestInterceptor {
  constructor(
    private readonly bodies: BodyReader,
    private readonly config: AppConfig,
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<AppRequest>();
    const response = context.switchToHttp().getResponse<Response>();
    const isSmall = this.reflector.get(JsonBodySizeOf, context.getHandler()) === 'small';
    request.body = await this.bodies.readJson(
      request,
      response,
      isSmall ? { maxBytes: SMALL_BODY_BYTES, maxTokens: SMALL_JSON_TOKENS } : largeJson(this.config),
    );
    return next.handle();
  }
}

/** Limits of a JSON body with images or embeddings. */
export function largeJson({ maxJsonBytes }: AppConfig): JsonBodyLimits {
  return { maxBytes: maxJsonBytes, maxTokens: LARGE_JSON_TOKENS };
}

/** JSON body of a route: reads and documents it, unlike `@ApiBody`, which only documents. */
export function JsonBody({ type, example }: JsonBodyDocs, size: JsonBodySize = 'small'): MethodDecorator {
  const media = { schema: { $ref: getSchemaPath(type) }, ...(example == null ? {} : { example }) };
  return applyDecorators(
    JsonBodySizeOf(size),
    UseInterceptors(JsonBodyInterceptor),
    ApiExtraModels(type),
    ApiBody({ required: true, schema: bodySchema({ 'application/json': media }) }),
  );
}
