import type { NextFunction, Response } from 'express';
import { type IncrementResponse, type Options, rateLimit, type Store } from 'express-rate-limit';
import { LRUCache } from 'lru-cache';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { isHealth } from './browsers';
import { callerOf } from './caller';
import type { AppRequest } from './request-id';

const MINUTE_MS = 60_000;

/**
 * Maximum number of counted callers, about 35 MB on Node 20; beyond it, the least recent ones are dropped. The store of
 * the library is unbounded, and an IPv6 /48 alone has 65,536 callers.
 */
const MAX_CALLERS = 100_000;

/** Counts the requests of each caller in its current minute. */
export class CallerStore implements Store {
  readonly localKeys = true;
  private readonly counts: LRUCache<string, { totalHits: number; resetTime: Date }>;

  constructor(max = MAX_CALLERS) {
    this.counts = new LRUCache({ max });
  }

  increment(caller: string): IncrementResponse {
    const known = this.counts.get(caller);
    const isCurrent = known != null && known.resetTime.getTime() > Date.now();
    const count = isCurrent ? known : { totalHits: 0, resetTime: new Date(Date.now() + MINUTE_MS) };
    count.totalHits++;
    this.counts.set(caller, count);
    return count;
  }

  decrement(caller: string): void {
    const count = this.counts.get(caller);
    if (count != null) count.totalHits--;
  }

  resetKey(caller: string): void {
    this.counts.delete(caller);
  }
}

/**
 * Middleware after authentication: rejects requests over the limit of a caller with RATE_LIMIT_EXCEEDED, and sends the
 * remaining number in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-08). The limit of the
 * key overrides FACE_REQUESTS_PER_MINUTE.
 */
export function limitRequests({ requestsPerMinute }: AppConfig) {
  const limitOf = ({ apiKey }: AppRequest) => apiKey?.requestsPerMinute ?? requestsPerMinute;
  return rateLimit({
    windowMs: MINUTE_MS,
    limit: (request) => limitOf(request as AppRequest),
    skip: (request) => limitOf(request as AppRequest) === 0 || isNeverLimited(request as AppRequest),
    keyGenerator: (request) => callerOf(request as AppRequest),
    identifier: 'requests-per-minute',
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    store: new CallerStore(),
    // The checks do not apply: the address already respects FACE_TRUST_PROXY, and IPv6 counts by /64.
    validate: false,
    handler: refuse,
  } satisfies Partial<Options>);
}

function refuse(request: object, _response: Response, next: NextFunction): void {
  const { limit, resetTime } = (request as { rateLimit: { limit: number; resetTime: Date } }).rateLimit;
  const retryAfterSeconds = Math.max(1, Math.ceil((resetTime.getTime() - Date.now()) / 1000));
  const text = `The limit of ${limit} requests per minute is exceeded.`;
  next(new FaceError('RATE_LIMIT_EXCEEDED', text, { requestsPerMinute: limit, retryAfterSeconds }));
}

function isNeverLimited(request: AppRequest): boolean {
  return isHealth(request) || /^\/metrics\/?$/i.test(request.path);
}
