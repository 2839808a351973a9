import { FaceError } from '../errors';
import type { Refusal } from './quarantine';

/*
 * Errors for callers whose image is not answered. The pool and the cache of answers both end waits, with the same errors.
 */

export function aborted(): FaceError {
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the answer.');
}

export function timedOut(limitMs: number): FaceError {
  return new FaceError('INFERENCE_TIMEOUT', `The image was not answered within ${limitMs} ms.`);
}

export function queueFull(retryAfterSeconds: number): FaceError {
  return new FaceError('QUEUE_FULL', 'The queue is full.', { retryAfterSeconds });
}

export function quarantined({ subject, leftMs }: Refusal): FaceError {
  const details = { retryAfterSeconds: Math.ceil(leftMs / 1000) };
  return subject === 'image'
    ? new FaceError(
        'IMAGE_QUARANTINED',
        'This image ended or stalled two workers: it is refused for a while.',
        details,
      )
    : new FaceError(
        'CALLER_QUARANTINED',
        'Several of your images ended or stalled workers: your images are refused for a while.',
        details,
      );
}

export function modelUnloaded(): FaceError {
  return new FaceError('MODEL_NOT_LOADED', 'The model was unloaded before the image had its turn.');
}

export function shuttingDown(): FaceError {
  return new FaceError('NOT_READY', 'The service is shutting down.');
}
