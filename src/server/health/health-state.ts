/** What the health thread is started with. */
export interface HealthThreadData {
  port: number;
  host: string;
  /** `BigInt64Array [2]`: {@link HEARTBEAT} and {@link READY}. */
  state: SharedArrayBuffer;
}

/** Cell: milliseconds since 1970 at the last turn of the service's event loop. */
export const HEARTBEAT = 0;
/** Cell: 1 where requests are answered, else 0. */
export const READY = 1;
/** The service is not alive once its event loop has not turned for so long. */
export const MAX_SILENCE_MS = 30_000;
