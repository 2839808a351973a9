/** What a key may be allowed to do. */
export const SCOPES = [
  'verify',
  'read',
  'identify',
  'enroll',
  'delete',
  'embeddings',
  'admin',
  'metrics',
] as const;
export type Scope = (typeof SCOPES)[number];

/** A key that a request has brought. */
export interface ApiKey {
  /** Unique; told in logs, metrics and the audit stream, where the key itself never is. */
  name: string;
  scopes: ReadonlySet<Scope>;
  /** Names of the galleries that it may use. @defaultValue all */
  galleries?: readonly string[];
  /** From when on it is refused, milliseconds since 1970, UTC. @defaultValue never */
  expiresAt?: number;
  /** @defaultValue no limit of its own */
  requestsPerMinute?: number;
  /** Whether its requests may set thresholds and error rates. */
  maySetThresholds: boolean;
  /** Whether its answers hold distances and exact similarities; else the decision and a rounded similarity. */
  maySeeDistances: boolean;
}
