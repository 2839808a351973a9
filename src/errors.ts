/** What one error code means to a caller. */
interface FaceErrorEntry {
  /** HTTP status the service answers with; `null` where the code ends a boot or a command and is never sent. */
  readonly status: number | null;
  /** When the error happens, as shown in docs/api.md and Swagger. */
  readonly description: string;
}

/**
 * Every error code of Likeness, in one table. docs/api.md and Swagger are tested against it.
 *
 * @publicApi
 */
export const FACE_ERRORS = {
  IMAGE_MISSING: { status: 400, description: 'An image field is missing' },
  IMAGE_EMPTY: { status: 400, description: 'An image has zero bytes' },
  PARAMETER_INVALID: {
    status: 400,
    description: 'A parameter is unknown, out of range or of the wrong type; `details.fields` names each one',
  },
  IMAGE_URL_REFUSED: {
    status: 400,
    description: 'The operator does not allow the service to fetch images from this URL',
  },
  REQUEST_MALFORMED: { status: 400, description: 'The body is not valid JSON or multipart' },
  MODEL_UNKNOWN: { status: 400, description: 'No model of this task has this name' },
  UNAUTHORIZED: {
    status: 401,
    description:
      'The route needs a key, and the request has no valid one in `Authorization: Bearer` or `x-api-key`',
  },
  API_KEY_EXPIRED: {
    status: 401,
    description: 'The key has expired; `details` has its `expiresAt`',
  },
  FORBIDDEN: {
    status: 403,
    description:
      'The key lacks a scope of the route, or is not allowed to use the gallery, thresholds or distances; `details` names which',
  },
  ADMIN_DISABLED: {
    status: 403,
    description: 'Admin routes are off: neither ADMIN_KEY nor FACE_API_KEYS_FILE is set',
  },
  ORIGIN_NOT_ALLOWED: {
    status: 403,
    description:
      'A page of another site sent a request other than GET, and its origin is not in FACE_CORS_ORIGINS',
  },
  NOT_FOUND: { status: 404, description: 'The route does not exist' },
  GALLERY_NOT_FOUND: { status: 404, description: 'No gallery has this id' },
  SUBJECT_NOT_FOUND: { status: 404, description: 'The gallery has no subject with this id' },
  REFERENCE_NOT_FOUND: {
    status: 404,
    description: 'The subject has no reference with this id; on verify: it has no references',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    description: 'The body arrives too slowly: less than 8 KiB/s over ten seconds',
  },
  GALLERY_MIGRATING: {
    status: 409,
    description:
      'The gallery is the target of a migration and cannot be changed, or the migration cannot be switched over because it is unfinished or would lose references; `details` says which',
  },
  GALLERY_EXISTS: { status: 409, description: 'A gallery with this id already exists' },
  SUBJECT_EXISTS: { status: 409, description: 'On rename: the new id is taken, and `merge` is not set' },
  SUBJECT_FULL: {
    status: 409,
    description: 'The subject already has the maximum number of references of its gallery',
  },
  IDEMPOTENCY_CONFLICT: {
    status: 409,
    description: 'The `Idempotency-Key` was already used for other content',
  },
  RECEIPTS_DISABLED: {
    status: 409,
    description:
      'On delete: a receipt was requested, but FACE_RECEIPT_KEY_FILE is not set; nothing was deleted',
  },
  MODEL_NOT_LOADED: {
    status: 409,
    description: 'The model is known but not loaded; requests never load models',
  },
  MODEL_IN_USE: {
    status: 409,
    description: 'On unload: the model is the default of its task, or another loaded model needs it',
  },
  MODEL_LOAD_FAILED: {
    status: 422,
    description:
      'The requested model cannot be loaded; `details.reason` has the code. All models that were loaded still are',
  },
  EMBEDDING_CONTRACT_MISMATCH: {
    status: 409,
    description: 'The embedding comes from another contract than the one that it is compared under',
  },
  IMAGE_TOO_LARGE: {
    status: 413,
    description:
      'The image exceeds a limit on bytes, pixels (of its format), sides or aspect ratio, all checked before decoding',
  },
  REQUEST_TOO_LARGE: {
    status: 413,
    description: 'The body exceeds the limit on bytes or on the number of images',
  },
  IMAGE_UNSUPPORTED: {
    status: 415,
    description: 'The file is not a JPEG, PNG, WebP, GIF, AVIF or TIFF image',
  },
  CONTENT_TYPE_UNSUPPORTED: {
    status: 415,
    description: 'The body is neither JSON nor multipart/form-data, or it is compressed',
  },
  IMAGE_CORRUPT: {
    status: 422,
    description: 'The image cannot be decoded; for example, the file is truncated',
  },
  IMAGE_DECODE_TIMEOUT: { status: 422, description: 'Decoding the image took too long and was stopped' },
  IMAGE_URL_FAILED: { status: 422, description: 'The URL did not return an image in time' },
  FACE_NOT_DETECTED: {
    status: 422,
    description:
      'No face was found, or (`details.reason` is `not_aligned`) no face is upright and aligned well enough to be compared; `details.field` names the image',
  },
  PRESENTATION_ATTACK_SUSPECTED: {
    status: 422,
    description:
      '`presentationAttack` is `require`, and the face may be a picture or a mask; `details` has label and score',
  },
  FACE_AMBIGUOUS: { status: 422, description: "The image has several faces, and faceSelection is 'single'" },
  EMBEDDING_INVALID: {
    status: 422,
    description: 'The embedding has the wrong length, zero norm or a non-finite value',
  },
  REFERENCE_REJECTED: {
    status: 422,
    description: 'The enrollment gate rejected the image; `details.reasons` says why',
  },
  INFERENCE_FAILED: { status: 500, description: 'A worker failed; the cause is logged, never sent' },
  INTERNAL_ERROR: {
    status: 500,
    description: 'An unexpected error occurred; the cause is logged, never sent',
  },
  CALLER_QUEUE_FULL: {
    status: 429,
    description:
      "The caller's share of the queue is full, or the image cannot be answered before its deadline; see Retry-After",
  },
  AUTH_ATTEMPTS_EXCEEDED: {
    status: 429,
    description: 'The address sent too many invalid keys; see Retry-After',
  },
  HOST_NOT_ALLOWED: {
    status: 421,
    description: 'The `Host` header names neither this service nor a host in FACE_ALLOWED_HOSTS',
  },
  RATE_LIMIT_EXCEEDED: {
    status: 429,
    description: 'The caller has reached its limit of requests per minute; see Retry-After',
  },
  CALLER_QUARANTINED: {
    status: 429,
    description:
      'Several images of the caller crashed or stalled workers; all its images are refused until Retry-After',
  },
  IMAGE_QUARANTINED: {
    status: 503,
    description: 'This image crashed or stalled two workers; it is refused for ten minutes',
  },
  QUEUE_FULL: {
    status: 503,
    description:
      'The queue is full or too long to answer the image before its deadline, or the service holds the maximum of request bytes; see Retry-After',
  },
  GALLERY_STORE_FAILED: {
    status: 503,
    description: 'The gallery store could not read or write; the cause is logged, nothing was changed',
  },
  GALLERY_CHANGE_UNCERTAIN: {
    status: 503,
    description:
      'The servers of the jetstream store received a change but did not confirm it in time; it may still take effect',
  },
  GALLERY_STORE_STOPPED: {
    status: 503,
    description:
      'The gallery store accepts no changes until a restart, after an internal fault; reads and searches still work',
  },
  GALLERY_REVISION_PENDING: {
    status: 503,
    description:
      'This replica has not reached the revision in `x-likeness-min-revision` within 5 seconds or the deadline of the request; nothing was done',
  },
  AUDIT_FAILED: {
    status: 503,
    description: 'The audit stream cannot be written, and FACE_AUDIT_ON_FAILURE is `refuse`',
  },
  NOT_READY: { status: 503, description: 'The service is starting or shutting down' },
  MEMORY_BUDGET_EXCEEDED: {
    status: 507,
    description: 'Loading the model would exceed the memory budget; this also ends a boot',
  },
  GALLERY_FULL: {
    status: 507,
    description:
      'A gallery limit is reached; `details` names it: `capacity` (references), `maxSubjects`, `maxGalleries` or `maxBytes` (memory)',
  },
  INFERENCE_TIMEOUT: { status: 504, description: 'The request was not answered before its deadline' },
  REQUEST_ABORTED: { status: 499, description: 'The client closed the connection before the answer' },
  MODEL_NOT_FOUND: {
    status: null,
    description: 'On boot: a model to load has no card or no file; on pull: its card has no download',
  },
  MODEL_CHECKSUM_MISMATCH: {
    status: null,
    description: 'On boot or pull: the sha256 or the size of a model file differs from its card',
  },
  MODEL_SHAPE_MISMATCH: {
    status: null,
    description: 'On boot: the inputs or outputs of a model differ from its card',
  },
  MODEL_IMPORT_FAILED: {
    status: null,
    description:
      'On import: the file is damaged or does not hold the weights of this architecture; nothing was written',
  },
  MODEL_INVALID: {
    status: null,
    description: 'On boot: a card or a model file is malformed; on pull: the card has no sha256',
  },
  MODEL_DOWNLOAD_FAILED: {
    status: null,
    description:
      'On pull: the server is unreachable, refuses, redirects to a forbidden address or offers a file of another size',
  },
  MODEL_ARCHIVE_INVALID: {
    status: null,
    description: 'On pull: the zip is damaged, unsafe or over a limit, or lacks the file of the model',
  },
  MODEL_LICENSE_NOT_ACCEPTED: {
    status: null,
    description:
      'On pull: the license of the weights forbids commercial use, and `--accept-license` is missing',
  },
  GALLERY_STORE_INVALID: {
    status: null,
    description:
      'On boot: the gallery folder does not belong to Likeness, is in use, or has another version or key',
  },
  API_KEYS_INVALID: {
    status: null,
    description:
      'On boot, and in `keys`: the file of the API keys cannot be read, or has an invalid entry; `details.entry` names it',
  },
  AUDIT_FILE_INVALID: {
    status: null,
    description:
      'On boot: FACE_AUDIT_FILE cannot be opened, is in use, or its last line was changed or has another key',
  },
  RECEIPT_KEY_INVALID: {
    status: null,
    description:
      'On boot, and in `receipt`: FACE_RECEIPT_KEY_FILE can be neither read nor created, or is not an Ed25519 private key in PEM',
  },
  FACE_OPTIONS_INVALID: {
    status: null,
    description: 'On boot: an option or environment variable is invalid',
  },
} as const satisfies Record<string, FaceErrorEntry>;

/**
 * A key of {@link FACE_ERRORS}.
 *
 * @publicApi
 */
export type FaceErrorCode = keyof typeof FACE_ERRORS;

/**
 * The one error class of Likeness.
 *
 * `message` and `details` go to the caller as they are: they never hold image bytes, embeddings, keys, folders or
 * stack traces. Details for the operator go into `cause`, which is logged and never sent.
 *
 * @publicApi
 */
export class FaceError extends Error {
  constructor(
    readonly code: FaceErrorCode,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'FaceError';
  }

  /** HTTP status of {@link FACE_ERRORS}; 500 for codes that are never sent. */
  get status(): number {
    return FACE_ERRORS[this.code].status ?? 500;
  }

  /** The same error with more details, for example the field of the request the image came in. */
  withDetails(details: Record<string, unknown>): FaceError {
    return new FaceError(this.code, this.message, { ...this.details, ...details }, { cause: this.cause });
  }
}

/** Whether an error has this code. */
export function isFaceError(error: unknown, code: FaceErrorCode): error is FaceError {
  return error instanceof FaceError && error.code === code;
}

/** `null` where the work fails with this code. */
export function nullOn<T>(code: FaceErrorCode, work: Promise<T>): Promise<T | null> {
  return work.catch((error: unknown) => {
    if (isFaceError(error, code)) return null;
    throw error;
  });
}
