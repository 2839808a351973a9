import { HttpException, Logger } from '@nestjs/common';
import { FACE_ERRORS, FaceError, type FaceErrorCode } from '../../../errors';
import { Bursts } from '../request/bursts';

/** What Nest's and body-parser's own errors say to a caller, by their HTTP status. */
const FRAMEWORK_ERRORS: Partial<Record<number, [FaceErrorCode, string]>> = {
  400: ['REQUEST_MALFORMED', 'The request cannot be read: its body or its address is malformed.'],
  404: ['NOT_FOUND', 'No such route.'],
  413: ['REQUEST_TOO_LARGE', 'The body of the request is over the limit.'],
  415: ['CONTENT_TYPE_UNSUPPORTED', 'Expected JSON in UTF-8 or multipart/form-data.'],
};

const logger = new Logger('Request');

/**
 * Whatever was thrown, as the error that the caller may see. What is unexpected becomes INTERNAL_ERROR, with the thrown
 * value as its cause; so do codes that belong to the boot.
 */
export function toFaceError(thrown: unknown): FaceError {
  if (thrown instanceof FaceError && FACE_ERRORS[thrown.code].status != null) return thrown;
  const known = FRAMEWORK_ERRORS[frameworkStatus(thrown) ?? 500];
  if (known != null) return new FaceError(known[0], known[1]);
  return new FaceError(
    'INTERNAL_ERROR',
    'Something unexpected happened; the log has the cause.',
    {},
    { cause: thrown },
  );
}

/** Failures of a kind, such as those of a full disk, which every request meets. */
const failures = new Bursts<FaceError>(
  (error, count) => {
    if (count === 1) logger.error(`${error.code}: ${error.message}`, stackOf(error.cause ?? error));
    // The lines of the requests have the count.
  },
  (error) => error,
);

/** Logs the causes of the service's own failures; that a request has failed is in its line of the log. */
export function logServerError(error: FaceError, requestId: string): void {
  if (error.status === 500) {
    logger.error(`${requestId} ${error.code}: ${error.message}`, stackOf(error.cause ?? error));
  } else if (error.status > 500 && error.cause != null) {
    failures.add(error.code, error);
  }
}

/** Only errors made for a client count: Nest's, and those of body-parser, which `expose` marks. */
function frameworkStatus(thrown: unknown): number | undefined {
  if (thrown instanceof HttpException) return thrown.getStatus();
  const { expose, status } = (thrown ?? {}) as { expose?: unknown; status?: unknown };
  return expose === true && typeof status === 'number' ? status : undefined;
}

/** The stack alone: an inspected error could show an image or an embedding among its properties. */
function stackOf(cause: unknown): string {
  return String((cause as { stack?: unknown } | null)?.stack ?? cause);
}
