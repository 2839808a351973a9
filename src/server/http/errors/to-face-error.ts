import { HttpException, Logger } from '@nestjs/common';
import { FACE_ERRORS, FaceError, type FaceErrorCode } from '../../../errors';
import { Bursts } from '../request/bursts';

/** Errors of Nest and body-parser by HTTP status. */
const FRAMEWORK_ERRORS: Partial<Record<number, [FaceErrorCode, string]>> = {
  400: ['REQUEST_MALFORMED', 'The request is malformed: its body or its URL cannot be read.'],
  404: ['NOT_FOUND', 'No such route.'],
  413: ['REQUEST_TOO_LARGE', 'The request body exceeds the limit.'],
  415: ['CONTENT_TYPE_UNSUPPORTED', 'Expected JSON in UTF-8 or multipart/form-data.'],
};

const logger = new Logger('Request');

/**
 * Converts a thrown value to an error that is safe for the caller. Unexpected values and codes of the startup become
 * INTERNAL_ERROR, with the thrown value as cause.
 */
export function toFaceError(thrown: unknown): FaceError {
  if (thrown instanceof FaceError && FACE_ERRORS[thrown.code].status != null) return thrown;
  const known = FRAMEWORK_ERRORS[frameworkStatus(thrown) ?? 500];
  if (known != null) return new FaceError(known[0], known[1]);
  return new FaceError(
    'INTERNAL_ERROR',
    'An unexpected error occurred; see the log for its cause.',
    {},
    { cause: thrown },
  );
}

/** Default of Retry-After in seconds. */
const RETRY_AFTER_SECONDS = 1;

/** Value of the Retry-After header; `null` for an error that a retry does not resolve. */
export function retryAfterOf({ status, details }: FaceError): string | null {
  const { retryAfterSeconds = status > 500 ? RETRY_AFTER_SECONDS : null } = details;
  return retryAfterSeconds == null ? null : String(retryAfterSeconds);
}

/** Summarizes failures that affect every request, such as a full disk. */
const failures = new Bursts<FaceError>(
  (error, count) => {
    if (count === 1) logger.error(`${error.code}: ${error.message}`, stackOf(error.cause ?? error));
    // The request log has the counts.
  },
  (error) => error,
);

/** Logs the cause of an internal failure. The request log records the failure itself. */
export function logServerError(error: FaceError, requestId?: string): void {
  if (error.status === 500) {
    const id = requestId == null ? '' : `${requestId} `;
    logger.error(`${id}${error.code}: ${error.message}`, stackOf(error.cause ?? error));
  } else if (error.status > 500 && error.cause != null) {
    failures.add(error.code, error);
  }
}

/** Status of errors meant for clients: those of Nest, and those of body-parser with `expose`. */
function frameworkStatus(thrown: unknown): number | undefined {
  if (thrown instanceof HttpException) return thrown.getStatus();
  const { expose, status } = (thrown ?? {}) as { expose?: unknown; status?: unknown };
  return expose === true && typeof status === 'number' ? status : undefined;
}

/** Only the stack, because other properties of an error can contain an image or an embedding. */
function stackOf(cause: unknown): string {
  return String((cause as { stack?: unknown } | null)?.stack ?? cause);
}
