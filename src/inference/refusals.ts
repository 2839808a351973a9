import { FaceError } from '../errors';

/*
 * What a caller is told whose image is not answered. The pool and the cache of answers both end waits: in the same words.
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
