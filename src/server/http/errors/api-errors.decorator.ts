import { ApiExtension } from '@nestjs/swagger';
import { FACE_ERRORS, type FaceErrorCode } from '../../../errors';
import { ERRORS_EXTENSION, type ErrorDocs } from '../openapi/error-docs';

/** Codes with an HTTP status, which a caller can receive. */
export type RequestErrorCode = {
  [Code in FaceErrorCode]: (typeof FACE_ERRORS)[Code]['status'] extends number ? Code : never;
}[FaceErrorCode];

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
  'CALLER_QUEUE_FULL',
  'CALLER_QUARANTINED',
  'IMAGE_QUARANTINED',
  'QUEUE_FULL',
  'INFERENCE_TIMEOUT',
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
export const ADMIN_ERRORS: readonly RequestErrorCode[] = ['ADMIN_DISABLED'];

/** Documents the errors of a route, besides those of every route. */
export function ApiFaceErrors(codes: readonly RequestErrorCode[]): MethodDecorator {
  const docs: ErrorDocs = {
    response: 'Error',
    errors: codes.map((code) => ({ code, status: FACE_ERRORS[code].status })),
  };
  return ApiExtension(ERRORS_EXTENSION, docs);
}
