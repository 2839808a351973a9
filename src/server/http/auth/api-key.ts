/** Permissions of a key. */
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

/** The key of a request. */
export interface ApiKey {
  /** Unique name in logs, metrics and the audit stream, which never contain the key itself. */
  name: string;
  scopes: ReadonlySet<Scope>;
  /** Ids of the galleries that it can access. @defaultValue all */
  galleries?: readonly string[];
  /** Expiry, milliseconds since 1970, UTC. @defaultValue never */
  expiresAt?: number;
  /** @defaultValue no limit per key */
  requestsPerMinute?: number;
  /** Whether its requests can set thresholds and error rates. */
  maySetThresholds: boolean;
  /**
   * Whether its responses contain distances and exact similarities; otherwise only the decision and a rounded
   * similarity.
   */
  maySeeDistances: boolean;
}
