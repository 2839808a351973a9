import { applyDecorators, HttpCode, Post, type Type, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiExtraModels, ApiOperation, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { FACE_ERRORS, FaceError } from '../../errors';
import { ERROR_EXAMPLES, type RequestErrorCode } from '../http/errors/error-examples';
import { EXAMPLE_IMAGE_DATA_URI } from '../http/openapi/example-image';
import { EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { type BodyContent, bodySchema } from '../http/openapi/openapi';
import { ImageBodyInterceptor, ImageFieldsOf } from '../http/images/image-body.interceptor';
import type { ImageFields } from '../http/images/image-body.policy';
import { DEEPFACE_BODY, DeepfaceHeadersInterceptor } from './deepface-body';
import { deepfaceError, type DeepfaceRoute } from './dialect';

/** Errors of every route. */
const COMMON_ERRORS: readonly RequestErrorCode[] = [
  'PARAMETER_INVALID',
  'REQUEST_MALFORMED',
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'UNAUTHORIZED',
  'API_KEY_EXPIRED',
  'FORBIDDEN',
  'AUTH_ATTEMPTS_EXCEEDED',
  'REQUEST_TIMEOUT',
  'REQUEST_TOO_LARGE',
  'CONTENT_TYPE_UNSUPPORTED',
  'CALLER_QUEUE_FULL',
  'QUEUE_FULL',
  'INTERNAL_ERROR',
  'NOT_READY',
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
  /** Example bodies without images. */
  examples: Record<string, { summary: string; value: object }>;
  errors?: readonly RequestErrorCode[];
}

type Examples = Record<string, { summary: string; value: unknown }>;

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
    ApiExtraModels(docs.options),
    ApiBody({ required: true, schema: bodySchema(contentOf(images, docs)) }),
    ...errorResponses(errors, route, images.fields[0] ?? 'img'),
  );
}

function contentOf(images: ImageFields, { options, examples }: RouteDocs): BodyContent {
  const text = {
    type: 'string',
    description: 'Encoded image as a data URI or padded base64, or its URL if its host is allowed',
  };
  const file = { type: 'string', format: 'binary', description: 'Encoded image, or a text part as in JSON' };
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
  const others = [...(takesLists ? [listOf(text)] : []), ...(takesEmbeddings ? [embedding] : [])];
  const image = Object.fromEntries(fields.map((name) => [name, EXAMPLE_IMAGE_DATA_URI]));
  const bodies: Examples = Object.fromEntries(
    Object.entries(examples).map(([name, { summary, value }]) => [
      name,
      { summary, value: { ...image, ...value } },
    ]),
  );
  const [[name, { summary, value }]] = Object.entries(bodies);
  const forms: Examples = {
    [name]: { summary: `${summary}, as text parts; images are usually sent as files`, value: asForm(value) },
  };
  return {
    'application/json': {
      schema: schema(others.length > 0 ? { oneOf: [text, ...others] } : text),
      examples: bodies,
    },
    'multipart/form-data': { schema: schema(takesLists ? listOf(file) : file), examples: forms },
    'application/x-www-form-urlencoded': { schema: schema(text), examples: forms },
  };
}

/** Formats every value as form text. */
function asForm(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value as object).map(([name, field]: [string, unknown]) => [
      name,
      Array.isArray(field) ? `[${field.join(', ')}]` : String(field),
    ]),
  );
}

function errorResponses(
  codes: readonly RequestErrorCode[],
  route: DeepfaceRoute,
  field: string,
): MethodDecorator[] {
  const answers = codes.map((code) => ({ code, ...answerOf(code, route, field) }));
  const statuses = [...new Set(answers.map(({ status }) => status))].sort((a, b) => a - b);
  return statuses.map((status) => {
    const ofStatus = answers.filter((answer) => answer.status === status);
    const keys = [...new Set(ofStatus.flatMap(({ body }) => Object.keys(body)))];
    return ApiResponse({
      status,
      description: ofStatus.map(({ code }) => `${code}: ${FACE_ERRORS[code].description}`).join('. '),
      content: {
        'application/json': {
          schema: {
            type: 'object',
            properties: Object.fromEntries(keys.map((key) => [key, { type: 'string' }])),
          },
          examples: Object.fromEntries(
            ofStatus.map(({ code, body }) => [code, { summary: FACE_ERRORS[code].description, value: body }]),
          ),
        },
      },
    });
  });
}

function answerOf(code: RequestErrorCode, route: DeepfaceRoute, field: string) {
  const error = new FaceError(code, ERROR_EXAMPLES[code].message.replaceAll('{field}', field));
  return deepfaceError(error, route, { requestId: EXAMPLE_REQUEST_ID });
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
