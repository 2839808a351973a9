import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiBody, type ApiBodyOptions } from '@nestjs/swagger';
import type { Response } from 'express';
import type { Observable } from 'rxjs';
import { AppConfig } from '../../config/app.config';
import { BodyReader, type JsonBodyLimits } from '../images/body-reader';
import { LARGE_JSON_TOKENS, SMALL_JSON_TOKENS } from './parse-json';
import type { AppRequest } from './request-id';

/** Maximum body size of a route without images and embeddings. */
export const SMALL_BODY_BYTES = 1024 * 1024;

/** `small`: up to {@link SMALL_BODY_BYTES}; `embeddings`: up to FACE_MAX_JSON_BYTES. */
type JsonBodySize = 'small' | 'embeddings';

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
export function JsonBody(docs: ApiBodyOptions, size: JsonBodySize = 'small'): MethodDecorator {
  return applyDecorators(JsonBodySizeOf(size), UseInterceptors(JsonBodyInterceptor), ApiBody(docs));
}
