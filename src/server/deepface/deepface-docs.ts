import { applyDecorators, HttpCode, Post, type Type, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiExtension, ApiExtraModels, ApiOperation, getSchemaPath } from '@nestjs/swagger';
import { FaceError } from '../../errors';
import type { RequestErrorCode } from '../http/errors/api-errors.decorator';
import { ERRORS_EXTENSION, type ErrorDocs } from '../http/openapi/error-docs';
import { EXAMPLE_IMAGE_DATA_URI } from '../http/openapi/example-image';
import { type BodyContent, bodySchema, IMAGE_FILE, IMAGE_TEXT } from '../http/openapi/body-content';
import { ImageBodyInterceptor, ImageFieldsOf } from '../http/images/image-body.interceptor';
import type { ImageFields } from '../http/images/image-body.policy';
import { DEEPFACE_BODY, DeepfaceHeadersInterceptor } from './deepface-body';
import { DeepfaceOptionsDto } from './deepface-options.dto';
import { deepfaceError, type DeepfaceRoute } from './dialect';

/** Errors of every route. */
const COMMON_ERRORS: readonly RequestErrorCode[] = [
  'PARAMETER_INVALID',
  'REQUEST_MALFORMED',
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'REQUEST_TIMEOUT',
  'REQUEST_TOO_LARGE',
  'CONTENT_TYPE_UNSUPPORTED',
  'CALLER_QUEUE_FULL',
  'QUEUE_FULL',
];

/** Errors of routes with images. */
const IMAGE_ERRORS: readonly RequestErrorCode[] = [
  'IMAGE_MISSING',
  'IMAGE_EMPTY',
  'IMAGE_URL_REFUSED',
  'IMAGE_URL_FAILED',
  'IMAGE_UNSUPPORTED',
  'IMAGE_CORRUPT',
  'IMAGE_DECODE_TIMEOUT',
  'FACE_NOT_DETECTED',
  'IMAGE_TOO_LARGE',
  'INFERENCE_FAILED',
  'CALLER_QUARANTINED',
  'IMAGE_QUARANTINED',
  'INFERENCE_TIMEOUT',
];

interface RouteDocs {
  summary: string;
  description: string;
  /** Commands that can be pasted into a shell. */
  curl: string;
  /** DTO of the fields other than images. */
  options: Type;
  /** JSON body without images that can be sent as it is. */
  example: object;
  errors?: readonly RequestErrorCode[];
}

/** A POST route of the dialect: reads its body, and documents the body and the errors. */
export function DeepfacePost(route: DeepfaceRoute, images: ImageFields, docs: RouteDocs): MethodDecorator {
  const hasImages = images.fields.length > 0;
  const errors = [...COMMON_ERRORS, ...(hasImages ? IMAGE_ERRORS : []), ...(docs.errors ?? [])];
  return applyDecorators(
    Post(route),
    HttpCode(200),
    ImageFieldsOf({ ...images, policy: DEEPFACE_BODY }),
    UseInterceptors(DeepfaceHeadersInterceptor, ImageBodyInterceptor),
    ApiOperation({
      operationId: `deepface${route.split('/').map(capitalised).join('')}`,
      summary: docs.summary,
      description: `${docs.description}\n\n\`\`\`sh\n${docs.curl}\n\`\`\``,
    }),
    ApiExtraModels(docs.options, DeepfaceOptionsDto),
    ApiBody({ required: true, schema: bodySchema(contentOf(images, docs)) }),
    ApiExtension(ERRORS_EXTENSION, errorDocs(errors, route)),
  );
}

function contentOf(images: ImageFields, { options, example }: RouteDocs): BodyContent {
  const embedding = {
    type: 'array',
    items: { type: 'number' },
    description: 'An embedding returned by /represent',
  };
  const listOf = (items: object) => ({
    type: 'array',
    minItems: 1,
    items,
    description: 'Several images, with one list of results each',
  });
  const { fields, takesLists, takesEmbeddings } = images;
  const schema = (field: object) => ({
    allOf: [
      {
        type: 'object',
        required: [...fields],
        properties: Object.fromEntries(fields.map((name) => [name, field])),
      },
      { $ref: getSchemaPath(options) },
    ],
  });
  const others = [...(takesLists ? [listOf(IMAGE_TEXT)] : []), ...(takesEmbeddings ? [embedding] : [])];
  const image = Object.fromEntries(fields.map((name) => [name, EXAMPLE_IMAGE_DATA_URI]));
  return {
    'application/json': {
      schema: schema(others.length > 0 ? { oneOf: [IMAGE_TEXT, ...others] } : IMAGE_TEXT),
      example: { ...image, ...example },
    },
    'multipart/form-data': { schema: schema(takesLists ? listOf(IMAGE_FILE) : IMAGE_FILE) },
    'application/x-www-form-urlencoded': { schema: schema(IMAGE_TEXT) },
  };
}

/** The errors with the statuses of DeepFace's format. */
function errorDocs(codes: readonly RequestErrorCode[], route: DeepfaceRoute): ErrorDocs {
  return {
    response: 'DeepfaceError',
    errors: codes.map((code) => ({
      code,
      status: deepfaceError(new FaceError(code, ''), route, { requestId: '' }).status,
    })),
  };
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
