import type { IncomingMessage } from 'node:http';

/** Content type of a request in lower case without parameters; empty if absent. */
export function mediaType({ headers }: Pick<IncomingMessage, 'headers'>): string {
  return (headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
}
