import {
  IMAGE_ROUTE_ERRORS,
  JSON_BODY_ERRORS,
  type RequestErrorCode,
} from '../http/errors/api-errors.decorator';

/** Errors of every route that reads galleries. */
export const READ_ERRORS: readonly RequestErrorCode[] = [
  'PARAMETER_INVALID',
  'GALLERY_STORE_FAILED',
  'GALLERY_REVISION_PENDING',
];

/** Errors of every route that changes galleries, besides {@link READ_ERRORS}. */
export const WRITE_ERRORS: readonly RequestErrorCode[] = [
  'GALLERY_CHANGE_UNCERTAIN',
  'GALLERY_STORE_STOPPED',
  'GALLERY_MIGRATING',
];

/** Errors of every route that deletes. */
export const DELETE_ERRORS: readonly RequestErrorCode[] = [
  ...READ_ERRORS,
  ...WRITE_ERRORS,
  'RECEIPTS_DISABLED',
];

/** Errors of every route with a body. */
export const CHANGE_ERRORS: readonly RequestErrorCode[] = [
  ...READ_ERRORS,
  ...WRITE_ERRORS,
  ...JSON_BODY_ERRORS,
];

/** Errors of every route with a probe. */
export const PROBE_ERRORS: readonly RequestErrorCode[] = [
  ...IMAGE_ROUTE_ERRORS,
  'FACE_NOT_DETECTED',
  'PRESENTATION_ATTACK_SUSPECTED',
  'EMBEDDING_INVALID',
  'EMBEDDING_CONTRACT_MISMATCH',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'GALLERY_REVISION_PENDING',
];
