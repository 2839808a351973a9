import { FaceError } from '../errors';
import type { PlainError } from './worker-protocol';

/** An error as it crosses from a worker to the main process. */
export function toPlainError(error: unknown): PlainError {
  if (error instanceof FaceError) {
    return {
      code: error.code,
      message: error.message,
      details: error.details,
      cause: describeCause(error.cause),
    };
  }
  return {
    code: 'INFERENCE_FAILED',
    message: 'The worker failed.',
    details: {},
    cause: describeCause(error),
  };
}

/** For the operator's log only: the main process never sends it on. */
function describeCause(cause: unknown): string | undefined {
  if (cause == null) return undefined;
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}

/**
 * An error in one line, causes included, for a notice to the operator.
 *
 * @param directory - removed from the text: messages of the system and of the runtime hold whole paths.
 */
export function toReason(error: unknown, directory: string): string {
  const messages: string[] = [];
  for (let at = error; at != null; at = at instanceof Error ? at.cause : null) {
    messages.push(at instanceof Error ? at.message : String(at));
  }
  return messages.join(' ').replaceAll(directory, '.').replace(/\s+/g, ' ').trim();
}
