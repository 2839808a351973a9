/** What one error code means to a caller. */
interface FaceErrorEntry {
  /** HTTP status the service answers with; `null` where the code ends a boot or a command and is never sent. */
  readonly status: number | null;
  /** When the error happens, as shown in README, docs/api.md and Swagger. */
  readonly when: string;
}

/**
 * Every error code of Likeness, in one table. README, docs/api.md and Swagger are tested against it.
 *
 * @publicApi
 */
export const FACE_ERRORS = {
  IMAGE_MISSING: { status: 400, when: 'an image field is absent' },
  IMAGE_EMPTY: { status: 400, when: 'an image has zero bytes' },
  PARAMETER_INVALID: {
    status: 400,
    when: 'a parameter has the wrong type, is out of range or is unknown; `details.fields` names each',
  },
  IMAGE_URL_REFUSED: {
    status: 400,
    when: 'an image is given by an address that the operator does not let the service fetch',
  },
  REQUEST_MALFORMED: { status: 400, when: 'the body is no valid JSON or multipart' },
  MODEL_UNKNOWN: { status: 400, when: 'no card has the model name, or it is of another task' },
  UNAUTHORIZED: {
    status: 401,
    when: 'the route needs a key, and the request has none that is valid in `Authorization: Bearer` or `x-api-key`',
  },
  API_KEY_EXPIRED: {
    status: 401,
    when: 'the key of the request is past its `expiresAt`, which `details` has',
  },
  FORBIDDEN: {
    status: 403,
    when: 'the key lacks a scope of the route, or may not use the gallery, the thresholds or the distances; `details` names which',
  },
  ADMIN_DISABLED: {
    status: 403,
    when: 'an admin route while the service has neither ADMIN_KEY nor FACE_API_KEYS_FILE',
  },
  ORIGIN_NOT_ALLOWED: {
    status: 403,
    when: 'a browser sends a request other than GET from a page of another site, whose origin is not in FACE_CORS_ORIGINS',
  },
  NOT_FOUND: { status: 404, when: 'no such route' },
  GALLERY_NOT_FOUND: { status: 404, when: 'no gallery has this id' },
  SUBJECT_NOT_FOUND: { status: 404, when: 'the gallery has no subject of this id' },
  REFERENCE_NOT_FOUND: {
    status: 404,
    when: 'the subject has no reference of this id; verify: it has none at all',
  },
  REQUEST_TIMEOUT: { status: 408, when: 'the body arrives too slowly: less than 8 KiB/s over ten seconds' },
  GALLERY_MIGRATING: {
    status: 409,
    when: 'a gallery that a migration fills is to be changed, or a migration is to be switched over that is not done or would lose references; `details` says which',
  },
  GALLERY_EXISTS: { status: 409, when: 'a gallery that is to be made has the id of another' },
  SUBJECT_EXISTS: { status: 409, when: 'rename: the new id is taken, and `merge` was not asked for' },
  SUBJECT_FULL: { status: 409, when: 'the subject has as many references as the gallery allows for one' },
  IDEMPOTENCY_CONFLICT: {
    status: 409,
    when: 'the `Idempotency-Key` was used before for other content',
  },
  RECEIPTS_DISABLED: {
    status: 409,
    when: 'delete: a receipt was asked for, and FACE_RECEIPT_KEY_FILE is not set; nothing was deleted',
  },
  MODEL_NOT_LOADED: {
    status: 409,
    when: 'the model has a card but is not loaded; requests never load models',
  },
  MODEL_IN_USE: {
    status: 409,
    when: 'unload: the model is the default of its task, or another loaded model needs it',
  },
  MODEL_LOAD_FAILED: {
    status: 422,
    when: 'an operator asked for a model that cannot be loaded; `details.reason` has the code; what was loaded still is',
  },
  EMBEDDING_CONTRACT_MISMATCH: {
    status: 409,
    when: 'an embedding was made under another contract than the one it is compared under',
  },
  IMAGE_TOO_LARGE: {
    status: 413,
    when: 'an image is over a limit of bytes, pixels (of its format), sides, or their ratio; checked before decoding',
  },
  REQUEST_TOO_LARGE: { status: 413, when: 'the body, or the number of images in it, is over the limit' },
  IMAGE_UNSUPPORTED: { status: 415, when: 'not a JPEG, PNG, WebP, GIF, AVIF or TIFF image' },
  CONTENT_TYPE_UNSUPPORTED: {
    status: 415,
    when: 'the body is neither JSON nor multipart/form-data, or it is compressed',
  },
  IMAGE_CORRUPT: { status: 422, when: 'the decoder refuses the image, for example a truncated file' },
  IMAGE_DECODE_TIMEOUT: { status: 422, when: 'decoding the image took too long and was stopped' },
  IMAGE_URL_FAILED: { status: 422, when: 'the address of an image did not answer with one in time' },
  FACE_NOT_DETECTED: {
    status: 422,
    when: 'no face was found, or none that is upright and aligned well enough to be compared (`details.reason` is `not_aligned`); `details.field` says in which image',
  },
  PRESENTATION_ATTACK_SUSPECTED: {
    status: 422,
    when: 'a face that may be a picture or a mask of one, where `presentationAttack` is `require`; `details` has label and score',
  },
  FACE_AMBIGUOUS: { status: 422, when: "several faces, and faceSelection is 'single'" },
  EMBEDDING_INVALID: {
    status: 422,
    when: 'an embedding has the wrong length, zero norm or a non-finite value',
  },
  REFERENCE_REJECTED: {
    status: 422,
    when: 'the enrollment gate refuses the image; `details.reasons` says why',
  },
  INFERENCE_FAILED: { status: 500, when: 'a worker failed; the cause is logged, never sent' },
  INTERNAL_ERROR: { status: 500, when: 'anything unexpected; the cause is logged, never sent' },
  CALLER_QUEUE_FULL: {
    status: 429,
    when: 'the caller has as much waiting as its share of the queue, or as can be answered in time; see Retry-After',
  },
  AUTH_ATTEMPTS_EXCEEDED: {
    status: 429,
    when: 'too many invalid keys came from the address; see Retry-After',
  },
  HOST_NOT_ALLOWED: {
    status: 421,
    when: 'the `Host` of the request is a name that is neither the one of the service nor in FACE_ALLOWED_HOSTS',
  },
  RATE_LIMIT_EXCEEDED: {
    status: 429,
    when: 'the caller has sent as many requests in this minute as it may; see Retry-After',
  },
  CALLER_QUARANTINED: {
    status: 429,
    when: 'several images of the caller ended or stalled workers; all its images are refused until Retry-After',
  },
  IMAGE_QUARANTINED: {
    status: 503,
    when: 'this very image ended or stalled two workers; it is refused for ten minutes',
  },
  QUEUE_FULL: {
    status: 503,
    when: 'the queue is full, or so long that the image would not be answered by its deadline, or the service holds as many bytes of requests as it may; see Retry-After',
  },
  GALLERY_STORE_FAILED: {
    status: 503,
    when: 'the store of the galleries could not write or read; the cause is logged, nothing was changed',
  },
  GALLERY_CHANGE_UNCERTAIN: {
    status: 503,
    when: 'the jetstream store: the servers got a change and did not confirm it in time; it may still be made',
  },
  GALLERY_STORE_STOPPED: {
    status: 503,
    when: 'the store of the galleries takes no more changes after a fault of its own, until a restart; reads and searches go on',
  },
  GALLERY_REVISION_PENDING: {
    status: 503,
    when: 'this replica has not read the revision that `x-likeness-min-revision` asks for within 5 seconds, or the deadline of the request; nothing was done',
  },
  AUDIT_FAILED: {
    status: 503,
    when: 'the audit stream cannot be written, and FACE_AUDIT_ON_FAILURE is `refuse`',
  },
  NOT_READY: { status: 503, when: 'the service is starting or shutting down' },
  MEMORY_BUDGET_EXCEEDED: {
    status: 507,
    when: 'a load would take more memory than the budget; also ends a boot',
  },
  GALLERY_FULL: {
    status: 507,
    when: 'a limit of galleries is reached; `details` names it: `capacity` (references), `maxSubjects`, `maxGalleries`, or `maxBytes` (memory)',
  },
  INFERENCE_TIMEOUT: { status: 504, when: 'the request was not answered before its deadline' },
  REQUEST_ABORTED: { status: 499, when: 'the client closed the connection before the answer' },
  MODEL_NOT_FOUND: {
    status: null,
    when: 'boot: a model to be loaded has no card or no file; pull: there is nowhere to take its file from',
  },
  MODEL_CHECKSUM_MISMATCH: {
    status: null,
    when: 'boot, pull: the sha256 or the size of a model file is not that of its card',
  },
  MODEL_SHAPE_MISMATCH: {
    status: null,
    when: 'boot: the inputs or outputs of a model are not what its card says',
  },
  MODEL_IMPORT_FAILED: {
    status: null,
    when: 'models import: the file is not the weights of that architecture, or damaged; nothing was written',
  },
  MODEL_INVALID: {
    status: null,
    when: 'boot: a card or a model file is malformed; pull: the card pins no sha256',
  },
  MODEL_DOWNLOAD_FAILED: {
    status: null,
    when: 'pull: the server cannot be reached, refuses, redirects to where it must not, or offers another size',
  },
  MODEL_ARCHIVE_INVALID: {
    status: null,
    when: 'pull: the zip is damaged, unsafe or over a limit, or lacks the file of the model',
  },
  MODEL_LICENSE_NOT_ACCEPTED: {
    status: null,
    when: 'pull: the licence of the weights forbids commercial use, and `--accept-license` was not given',
  },
  GALLERY_STORE_INVALID: {
    status: null,
    when: 'boot: the folder of the galleries is not ours, of another version, in use, or has another key',
  },
  API_KEYS_INVALID: {
    status: null,
    when: 'boot, keys: the file of the API keys cannot be read, or an entry of it is wrong; `details.entry` names it',
  },
  AUDIT_FILE_INVALID: {
    status: null,
    when: 'boot: FACE_AUDIT_FILE cannot be opened, is in use, or its last line was changed or has another key',
  },
  RECEIPT_KEY_INVALID: {
    status: null,
    when: 'boot, receipt: FACE_RECEIPT_KEY_FILE can be neither read nor made, or holds no Ed25519 private key in PEM',
  },
  FACE_OPTIONS_INVALID: { status: null, when: 'boot: an option or environment variable is wrong' },
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
 * stack traces. What only the operator may see goes into `cause`, which is logged and never sent.
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
