/** Connection to the servers of the `jetstream` store, and settings of its stream. */
export interface NatsSettings {
  /** `nats://host:port`, `tls://host:port` or `host:port`. One is enough: the client discovers the others through it. */
  servers: readonly string[];
  /** PEM file of the certificate authorities of the servers; if set, connections without TLS are refused. */
  caFile?: string | null;
  /** PEM files of the client certificate and its key. */
  certFile?: string | null;
  keyFile?: string | null;
  /** `.creds` file of NATS: JWT and seed. */
  credentialsFile?: string | null;
  user?: string | null;
  password?: string | null;
  token?: string | null;
  /**
   * Part of the stream's name, so that several services can share the servers: letters, digits, `_`, `-`.
   * @defaultValue {@link DEFAULT_NATS_NAMESPACE}
   */
  namespace?: string;
  /** Copies of a newly created stream, each on a server of its own, [1, 5]. @defaultValue {@link DEFAULT_NATS_REPLICAS} */
  replicas?: number;
  /** Milliseconds after which a change not confirmed by a quorum is given up. @defaultValue {@link DEFAULT_NATS_TIMEOUT_MS} */
  timeoutMs?: number;
}

export const DEFAULT_NATS_NAMESPACE = 'likeness';
export const DEFAULT_NATS_REPLICAS = 3;
export const NATS_REPLICAS_RANGE = [1, 5] as const;
export const DEFAULT_NATS_TIMEOUT_MS = 15_000;
export const NATS_TIMEOUT_RANGE = [1000, 60_000] as const;
