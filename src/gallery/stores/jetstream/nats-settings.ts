/** How the servers of the `jetstream` store are reached, and how its stream is kept. */
export interface NatsSettings {
  /** `nats://host:port`, `tls://host:port` or `host:port`; one is enough, the others are learned from it. */
  servers: readonly string[];
  /** PEM file of the authorities that sign the servers' certificates; with it, connections without TLS are refused. */
  caFile?: string | null;
  /** PEM files of the certificate and the key that the client shows. */
  certFile?: string | null;
  keyFile?: string | null;
  /** `.creds` file of NATS: JWT and seed. */
  credentialsFile?: string | null;
  user?: string | null;
  password?: string | null;
  token?: string | null;
  /** Name under which the stream is made, so that several services can share the servers: letters, digits, `_`, `-`. @defaultValue {@link DEFAULT_NATS_NAMESPACE} */
  namespace?: string;
  /** Servers that hold a copy of the stream when it is made, [1, 5]. @defaultValue {@link DEFAULT_NATS_REPLICAS} */
  replicas?: number;
  /** Milliseconds after which a change that no quorum has confirmed is given up. @defaultValue {@link DEFAULT_NATS_TIMEOUT_MS} */
  timeoutMs?: number;
}

export const DEFAULT_NATS_NAMESPACE = 'likeness';
export const DEFAULT_NATS_REPLICAS = 3;
export const NATS_REPLICAS_RANGE = [1, 5] as const;
export const DEFAULT_NATS_TIMEOUT_MS = 15_000;
export const NATS_TIMEOUT_RANGE = [1000, 60_000] as const;
