import type { IncomingMessage } from 'node:http';

/** Content type of a request without its parameters, in small letters; empty where it has none. */
export function mediaType({ headers }: Pick<IncomingMessage, 'headers'>): string {
  return (headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
}
