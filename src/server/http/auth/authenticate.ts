import type { NextFunction, Response } from 'express';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { callerOf } from '../request/caller';
import type { AppRequest } from '../request/request-id';
import { needsKey } from './access';
import type { ApiKey } from './api-key';
import type { ApiKeys } from './api-keys';
import { FailedKeys } from './failed-keys';

/** Alternative to `Authorization: Bearer`. It takes precedence, because gateways use the other header themselves. */
export const API_KEY_HEADER = 'x-api-key';

/**
 * Middleware before any body is read: sets `request.apiKey`, and rejects requests without a required key. {@link
 * ScopeGuard}, which knows the route, checks the scopes.
 *
 * UNAUTHORIZED without a valid key; API_KEY_EXPIRED; AUTH_ATTEMPTS_EXCEEDED when too many invalid ones came from the address.
 */
export function authenticate(keys: ApiKeys, config: AppConfig) {
  const failed = new FailedKeys();
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    const secret = secretOf(request);
    const found = secret == null ? null : keys.find(secret);
    const isExpired = found != null && hasExpired(found.apiKey);
    if (!needsKey(config, request.path, request)) {
      request.apiKey = isExpired ? undefined : found?.apiKey;
      return next();
    }
    if (secret == null) return next(unauthorized());
    const address = callerOf(request);
    // Only secrets chosen by a person can be guessed. A generated key is accepted even while its address is blocked, so
    // that an attacker at the same address cannot lock out its owner.
    const retryAfterSeconds = found?.isGenerated ? 0 : failed.secondsToWait(address);
    if (retryAfterSeconds > 0) {
      const message = 'Too many invalid keys came from this address.';
      return next(new FaceError('AUTH_ATTEMPTS_EXCEEDED', message, { retryAfterSeconds }));
    }
    if (found == null) {
      failed.add(address);
      return next(unauthorized());
    }
    // Also set for an expired key, so that log and audit stream contain its name.
    request.apiKey = found.apiKey;
    if (!isExpired) return next();
    next(new FaceError('API_KEY_EXPIRED', 'The API key has expired.', { expiresAt: isoTime(found.apiKey) }));
  };
}

export function unauthorized(): FaceError {
  return new FaceError('UNAUTHORIZED', 'A valid key is required in Authorization: Bearer or x-api-key.');
}

function hasExpired({ expiresAt }: ApiKey): boolean {
  return expiresAt != null && expiresAt <= Date.now();
}

function isoTime({ expiresAt }: ApiKey): string | null {
  return expiresAt == null ? null : new Date(expiresAt).toISOString();
}

function secretOf(request: AppRequest): string | null {
  const [, bearer = null] = /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '') ?? [];
  return request.get(API_KEY_HEADER) ?? bearer;
}
