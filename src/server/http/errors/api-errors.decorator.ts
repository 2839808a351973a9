import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { FACE_ERRORS } from '../../../errors';
import { ErrorEnvelopeDto } from './error.dto';
import { ERROR_EXAMPLES, type RequestErrorCode } from './error-examples';
import { EXAMPLE_REQUEST_ID } from '../openapi/examples';

/** Errors of every route with images, without REQUEST_ABORTED, which no client receives. */
export const IMAGE_ROUTE_ERRORS: readonly RequestErrorCode[] = [
  'IMAGE_MISSING',
  'IMAGE_EMPTY',
  'IMAGE_URL_REFUSED',
  'IMAGE_URL_FAILED',
  'PARAMETER_INVALID',
  'REQUEST_MALFORMED',
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'REQUEST_TIMEOUT',
  'IMAGE_TOO_LARGE',
  'REQUEST_TOO_LARGE',
  'IMAGE_UNSUPPORTED',
  'CONTENT_TYPE_UNSUPPORTED',
  'IMAGE_CORRUPT',
  'IMAGE_DECODE_TIMEOUT',
  'FACE_AMBIGUOUS',
  'INFERENCE_FAILED',
  'INTERNAL_ERROR',
  'CALLER_QUEUE_FULL',
  'RATE_LIMIT_EXCEEDED',
  'CALLER_QUARANTINED',
  'IMAGE_QUARANTINED',
  'QUEUE_FULL',
  'NOT_READY',
  'INFERENCE_TIMEOUT',
  'AUDIT_FAILED',
];

/** Errors of every route with a JSON body. */
export const JSON_BODY_ERRORS: readonly RequestErrorCode[] = [
  'REQUEST_MALFORMED',
  'REQUEST_TIMEOUT',
  'REQUEST_TOO_LARGE',
  'CONTENT_TYPE_UNSUPPORTED',
  'CALLER_QUEUE_FULL',
  'QUEUE_FULL',
];

/** Errors of every route under /admin. */
export const ADMIN_ERRORS: readonly RequestErrorCode[] = ['ADMIN_DISABLED', 'INTERNAL_ERROR', 'AUDIT_FAILED'];

/**
 * Documents the errors of a route: a response per status, with an example body per code.
 *
 * @param codes - all codes of the route, because a second call would replace shared statuses.
 * @param field - an image field of the route, for the examples.
 */
export function ApiFaceErrors(codes: readonly RequestErrorCode[], field = 'image'): MethodDecorator {
  const statuses = [...new Set(codes.map((code) => FACE_ERRORS[code].status))].sort((a, b) => a - b);
  return applyDecorators(
    ApiExtraModels(ErrorEnvelopeDto),
    ...statuses.map((status) => {
      const codesOfStatus = codes.filter((code) => FACE_ERRORS[code].status === status);
      return ApiResponse(errorResponse(codesOfStatus, field));
    }),
  );
}

/** A response with an example body per code; all codes must have the same status. */
export function errorResponse(codes: readonly RequestErrorCode[], field = 'image') {
  const { status } = FACE_ERRORS[codes[0]];
  return {
    status,
    description: codes.map((code) => `${code}: ${FACE_ERRORS[code].description}`).join('. '),
    ...(status === 503 || status === 429
      ? { headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'Seconds' } } }
      : {}),
    content: {
      'application/json': {
        schema: { $ref: getSchemaPath(ErrorEnvelopeDto) },
        examples: Object.fromEntries(codes.map((code) => [code, example(code, field)])),
      },
    },
  };
}

function example(code: RequestErrorCode, field: string) {
  const { message, details = {} } = ERROR_EXAMPLES[code];
  const envelope = { error: { code, message, details }, requestId: EXAMPLE_REQUEST_ID };
  return {
    summary: FACE_ERRORS[code].description,
    value: JSON.parse(JSON.stringify(envelope).replaceAll('{field}', field)) as ErrorEnvelopeDto,
  };
}
