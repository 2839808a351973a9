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
 * Callers that are counted at most, about 35 MB on Node 20: of more, those unseen for longest are forgotten. The store of the library
 * itself has no bound, and an IPv6 /48 alone has 65,536 callers.
 */
const MAX_CALLERS = 100_000;

/** Requests of each caller in its current minute. */
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
 * Middleware after the key is known: refuses what a caller sends beyond its requests per minute with RATE_LIMIT_EXCEEDED, and
 * says in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-08) how many are left. The limit of the key
 * counts before FACE_REQUESTS_PER_MINUTE.
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
    // They warn of settings that are not ours: the address is already that of FACE_TRUST_PROXY, in networks of /64.
    validate: false,
    handler: refuse,
  } satisfies Partial<Options>);
}

function refuse(request: object, _response: Response, next: NextFunction): void {
  const { limit, resetTime } = (request as { rateLimit: { limit: number; resetTime: Date } }).rateLimit;
  const retryAfterSeconds = Math.max(1, Math.ceil((resetTime.getTime() - Date.now()) / 1000));
  const text = `Expected at most ${limit} requests per minute.`;
  next(new FaceError('RATE_LIMIT_EXCEEDED', text, { requestsPerMinute: limit, retryAfterSeconds }));
}

function isNeverLimited(request: AppRequest): boolean {
  return isHealth(request) || /^\/metrics\/?$/i.test(request.path);
}
