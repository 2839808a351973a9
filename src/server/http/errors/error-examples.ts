import type { FACE_ERRORS, FaceErrorCode } from '../../../errors';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DETECTOR,
  EXAMPLE_DIMENSIONS,
  EXAMPLE_EMBEDDER,
} from '../openapi/examples';

/** Codes with an HTTP status, which a caller can receive. */
export type RequestErrorCode = {
  [Code in FaceErrorCode]: (typeof FACE_ERRORS)[Code]['status'] extends number ? Code : never;
}[FaceErrorCode];

/**
 * A realistic message per code; `{field}` stands for an image field of the route. A code of FACE_ERRORS without an
 * example does not compile.
 */
export const ERROR_EXAMPLES: Readonly<
  Record<RequestErrorCode, { message: string; details?: Record<string, unknown> }>
> = {
  IMAGE_MISSING: { message: 'Expected an image for {field}.', details: { field: '{field}' } },
  IMAGE_URL_REFUSED: {
    message: 'The URL for image is on a host that the operator does not allow.',
    details: { field: 'image' },
  },
  IMAGE_URL_FAILED: {
    message: 'The image could not be fetched from the URL for image.',
    details: { field: 'image', status: 404 },
  },
  IMAGE_EMPTY: {
    message: 'Expected an image for {field} but received 0 bytes.',
    details: { field: '{field}' },
  },
  PARAMETER_INVALID: {
    message: 'Invalid: minDetectionScore must not be greater than 1.',
    details: { fields: { minDetectionScore: 'must not be greater than 1' } },
  },
  REQUEST_MALFORMED: { message: 'The request is malformed: its body or its URL cannot be read.' },
  MODEL_UNKNOWN: {
    message: `Expected a known detector but received "ssd". Loaded: ${EXAMPLE_DETECTOR}.`,
    details: { field: 'detector', available: [EXAMPLE_DETECTOR] },
  },
  UNAUTHORIZED: { message: 'A valid key is required in Authorization: Bearer or x-api-key.' },
  API_KEY_EXPIRED: {
    message: 'The API key has expired.',
    details: { expiresAt: '2027-01-31T00:00:00.000Z' },
  },
  FORBIDDEN: {
    message: 'The key lacks the scope enroll.',
    details: { scopes: ['enroll'] },
  },
  ADMIN_DISABLED: {
    message: 'The admin routes are disabled: neither ADMIN_KEY nor FACE_API_KEYS_FILE is set.',
  },
  ORIGIN_NOT_ALLOWED: {
    message:
      'The request comes from a page of another site. The operator can allow its origin in FACE_CORS_ORIGINS.',
  },
  HOST_NOT_ALLOWED: {
    message:
      'The service does not accept requests for this host name. The operator can allow it in FACE_ALLOWED_HOSTS.',
  },
  NOT_FOUND: { message: 'No such route.' },
  GALLERY_NOT_FOUND: { message: 'The gallery does not exist.', details: { galleryId: 'staff' } },
  SUBJECT_NOT_FOUND: {
    message: 'The subject does not exist in the gallery.',
    details: { galleryId: 'staff', subjectId: 'ada' },
  },
  REFERENCE_NOT_FOUND: {
    message: 'The reference does not exist for the subject.',
    details: { galleryId: 'staff', subjectId: 'ada', referenceId: '0d9c7a52-6a1d-4b6e-9d55-2f1f3a9c1b77' },
  },
  GALLERY_MIGRATING: {
    message:
      'The copy lacks 12 references of 7 subjects: enroll them again, or switch over with dropMissing.',
    details: { galleryId: 'staff', subjectCount: 7, referenceCount: 12 },
  },
  GALLERY_EXISTS: {
    message: 'A gallery with this id already exists.',
    details: { galleryId: 'staff' },
  },
  SUBJECT_EXISTS: {
    message: 'The gallery already has a subject with the new id.',
    details: { galleryId: 'staff', subjectId: 'ada' },
  },
  SUBJECT_FULL: {
    message: 'The subject already has the maximum of 20 references.',
    details: { galleryId: 'staff', subjectId: 'ada', maxReferencesPerSubject: 20 },
  },
  IDEMPOTENCY_CONFLICT: { message: 'The idempotency key was already used for different content.' },
  RECEIPTS_DISABLED: {
    message: 'Receipts are disabled: FACE_RECEIPT_KEY_FILE is not set. Nothing was deleted.',
  },
  REFERENCE_REJECTED: {
    message: 'The enrollment gate rejected the face: FACE_TOO_SMALL, BLURRED.',
    details: { field: '{field}', reasons: ['FACE_TOO_SMALL', 'BLURRED'] },
  },
  GALLERY_FULL: {
    message: 'The gallery already holds 100000 references, its capacity.',
    details: { galleryId: 'staff', capacity: 100_000 },
  },
  GALLERY_STORE_FAILED: { message: 'The gallery store failed; nothing was changed.' },
  GALLERY_CHANGE_UNCERTAIN: {
    message:
      'The servers of the galleries did not confirm the change in time; it may still be made. Read before you repeat it.',
  },
  GALLERY_STORE_STOPPED: {
    message:
      'The gallery store accepts no more changes after an internal fault. Reads and searches still work; restart the service to recover.',
  },
  GALLERY_REVISION_PENDING: {
    message:
      'This replica has not read revision 1042 of the galleries yet, so the request was not processed.',
    details: { minRevision: 1042, revision: 1039 },
  },
  MODEL_NOT_LOADED: {
    message: `Model yunet is not loaded. Loaded for detector: ${EXAMPLE_DETECTOR}.`,
    details: { field: 'detector', available: [EXAMPLE_DETECTOR] },
  },
  MODEL_IN_USE: {
    message: `Model ${EXAMPLE_EMBEDDER} is the default of its task: swap it instead.`,
    details: { model: EXAMPLE_EMBEDDER },
  },
  MODEL_LOAD_FAILED: {
    message:
      'Model sface cannot be loaded: its file face_recognition_sface_2021dec.onnx is not in any models folder.',
    details: { model: 'sface', reason: 'MODEL_NOT_FOUND' },
  },
  MEMORY_BUDGET_EXCEEDED: {
    message: 'Models and workers would take 2253 MiB of the budget of 2048 MiB.',
    details: { neededBytes: 2_362_441_728, budgetBytes: 2_147_483_648 },
  },
  REQUEST_TIMEOUT: { message: 'The request body arrives too slowly.' },
  EMBEDDING_CONTRACT_MISMATCH: {
    message: `Expected an embedding of contract ${EXAMPLE_CONTRACT} (${EXAMPLE_EMBEDDER}) but received one of another contract.`,
    details: { field: '{field}', expectedContract: EXAMPLE_CONTRACT },
  },
  IMAGE_TOO_LARGE: {
    message: 'Expected at most 10485760 bytes for {field}.',
    details: { field: '{field}', maxImageBytes: 10_485_760 },
  },
  REQUEST_TOO_LARGE: {
    message: 'Expected at most 1 image for {field}.',
    details: { field: '{field}', maxImages: 1 },
  },
  IMAGE_UNSUPPORTED: {
    message: 'Expected a JPEG, PNG, WebP, GIF, AVIF or TIFF image.',
    details: { field: '{field}' },
  },
  CONTENT_TYPE_UNSUPPORTED: { message: 'Expected Content-Type application/json or multipart/form-data.' },
  IMAGE_DECODE_TIMEOUT: {
    message: 'The image was not decoded within 10000 ms.',
    details: { field: '{field}', decodeTimeoutMs: 10_000 },
  },
  IMAGE_CORRUPT: { message: 'The image could not be decoded.', details: { field: '{field}' } },
  FACE_NOT_DETECTED: { message: 'No face was found in the image.', details: { field: '{field}' } },
  PRESENTATION_ATTACK_SUSPECTED: {
    message: 'The face is suspected to be a presentation attack.',
    details: { field: '{field}', label: 'print_or_screen', score: 0.08 },
  },
  FACE_AMBIGUOUS: {
    message: 'Expected a single face in the image but found 3.',
    details: { field: '{field}', faceCount: 3 },
  },
  EMBEDDING_INVALID: {
    message: `Expected ${EXAMPLE_DIMENSIONS} numbers for embedding but received 128.`,
    details: { field: '{field}', expectedLength: EXAMPLE_DIMENSIONS, receivedLength: 128 },
  },
  INFERENCE_FAILED: { message: 'The worker ended before it answered.', details: { retryAfterSeconds: 1 } },
  INTERNAL_ERROR: { message: 'An unexpected error occurred; see the log for its cause.' },
  AUTH_ATTEMPTS_EXCEEDED: {
    message: 'Too many invalid keys came from this address.',
    details: { retryAfterSeconds: 8 },
  },
  CALLER_QUEUE_FULL: { message: 'Your share of the queue is full.', details: { retryAfterSeconds: 4 } },
  RATE_LIMIT_EXCEEDED: {
    message: 'The limit of 600 requests per minute is exceeded.',
    details: { requestsPerMinute: 600, retryAfterSeconds: 42 },
  },
  CALLER_QUARANTINED: {
    message: 'Several of your images ended or stalled workers: your images are refused for a while.',
    details: { field: '{field}', retryAfterSeconds: 540 },
  },
  IMAGE_QUARANTINED: {
    message: 'This image ended or stalled two workers: it is refused for a while.',
    details: { field: '{field}', retryAfterSeconds: 600 },
  },
  QUEUE_FULL: { message: 'The queue is full.', details: { retryAfterSeconds: 9 } },
  AUDIT_FAILED: { message: 'The audit stream cannot be written, so the request was not processed.' },
  NOT_READY: { message: 'The service is shutting down.' },
  INFERENCE_TIMEOUT: { message: 'The image was not answered within 30000 ms.' },
  REQUEST_ABORTED: { message: 'The client closed the connection before the response.' },
};
