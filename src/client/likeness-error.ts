import type { components } from './openapi';

/**
 * Code of a {@link LikenessError}: a code of the service, see docs/api.md, or `UNEXPECTED_RESPONSE` if the response is not
 * in the format of Likeness, for example the error page of a proxy.
 *
 * @publicApi
 */
export type LikenessErrorCode = components['schemas']['ErrorCode'] | 'UNEXPECTED_RESPONSE';

/**
 * An error response of the service.
 *
 * Errors without a response keep the type that `fetch` gives them: `TypeError` if the service cannot be reached,
 * `AbortError` after an abort, `TimeoutError` after the timeout.
 *
 * @example
 * try {
 *   await likeness.verify(probe, reference);
 * } catch (error) {
 *   if (error instanceof LikenessError && error.code === 'FACE_NOT_DETECTED') console.log(error.details.field); // 'probe'
 *   else throw error;
 * }
 *
 * @publicApi
 */
export class LikenessError extends Error {
  constructor(
    readonly code: LikenessErrorCode,
    message: string,
    /** HTTP status, [400, 599]. */
    readonly status: number,
    /** Details for programs, for example `field`, the invalid field of the request. */
    readonly details: Readonly<Record<string, unknown>>,
    /** `x-request-id` of the response, for problem reports; `null` if it has none. */
    readonly requestId: string | null,
    /** Seconds to wait before the request can succeed, from `Retry-After`; `null` if the response has none. */
    readonly retryAfter: number | null,
  ) {
    super(message);
    this.name = 'LikenessError';
  }
}

/** The error in a response of the service, also of its DeepFace routes, whose errors are `{ error, code }`. */
export async function readError(response: Response): Promise<LikenessError> {
  const body = parsed(await response.text());
  const own = isObject(body.error) ? body.error : body;
  const text = [own.message, body.error, body.exception].find((value) => typeof value === 'string');
  return new LikenessError(
    (typeof own.code === 'string' ? own.code : 'UNEXPECTED_RESPONSE') as LikenessErrorCode,
    (text as string | undefined) ?? `${response.url} answered with status ${response.status}.`,
    response.status,
    isObject(own.details) ? own.details : {},
    response.headers.get('x-request-id'),
    secondsOf(response.headers.get('retry-after')),
  );
}

/** Seconds of a `Retry-After` header, which proxies also send as a date (RFC 9110, 10.2.3). */
function secondsOf(header: string | null): number | null {
  if (header == null) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value != null && !Array.isArray(value);
}
