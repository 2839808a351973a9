import type { AppRequest } from './request-id';

/** Whom a request counts for where callers share something: its key, or the address that it comes from. */
export function callerOf({ apiKey, ip }: AppRequest): string {
  return apiKey == null ? (ip ?? '') : `key:${apiKey.name}`;
}
