import { type LikenessError, readError } from './likeness-error';

/** Which refused requests are sent again, see {@link sendWithRetries}. */
export interface RetryOptions {
  /** Maximum number of repeats of a refused request; 0: none. @defaultValue 2 */
  retries?: number;
  /** Longest `Retry-After` to wait for, in milliseconds; an error with a longer one is thrown at once. @defaultValue 30000 */
  maxRetryAfterMs?: number;
}

/** Wait if a refusal has no `Retry-After`, which happens with proxies. */
const DEFAULT_WAIT_SECONDS = 1;
/** Share of a wait that is added at random, so that refused clients do not return at the same moment. */
const JITTER = 0.2;

/** Refusals before any work has begun: every request can be sent again after them. */
const BEFORE_WORK = [
  'RATE_LIMIT_EXCEEDED',
  'CALLER_QUEUE_FULL',
  'QUEUE_FULL',
  'NOT_READY',
  'GALLERY_REVISION_PENDING',
];
/** POST routes that change nothing. */
const READS = /\/(verify|distances|represent|detect|analyze|identify|search)$/;
/** POST routes that an `Idempotency-Key` makes safe to repeat. */
const ENROLLS = /\/(references|enroll)$/;

/**
 * Sends a request. After 429 and 503 it waits for `Retry-After` and sends it again, if that is safe: every request that
 * changes nothing or changes the same when repeated (GET, PUT, DELETE, the POST routes that only compute, enrollments
 * with an `Idempotency-Key`), and all others if the service refused them before it began ({@link BEFORE_WORK}).
 *
 * Imports are never repeated: their bodies are too large to keep.
 *
 * @throws {LikenessError} the last error response.
 */
export async function sendWithRetries(
  request: Request,
  fetch: (request: Request) => Promise<Response>,
  { retries = 2, maxRetryAfterMs = 30_000 }: RetryOptions,
): Promise<Response> {
  for (let left = canBeKept(request) ? retries : 0; ; left--) {
    const response = await fetch(left > 0 ? request.clone() : request);
    if (response.ok) return response;
    const error = await readError(response);
    const waitMs = (error.retryAfter ?? DEFAULT_WAIT_SECONDS) * 1000;
    if (left <= 0 || waitMs > maxRetryAfterMs || !isSafeToRepeat(request, error)) throw error;
    await wait(waitMs * (1 + JITTER * Math.random()), request.signal);
  }
}

function isSafeToRepeat({ method, url, headers }: Request, { status, code }: LikenessError): boolean {
  if (status !== 429 && status !== 503) return false;
  if (BEFORE_WORK.includes(code)) return true;
  const { pathname } = new URL(url);
  if (method === 'POST')
    return READS.test(pathname) || (ENROLLS.test(pathname) && headers.has('idempotency-key'));
  return method !== 'PATCH';
}

/** Whether the body may be kept in memory for a repeat. */
function canBeKept({ body, headers }: Request): boolean {
  return body == null || /^(application\/json|multipart\/)/.test(headers.get('content-type') ?? '');
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
