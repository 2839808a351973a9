/** Worker data of the health thread. */
export interface HealthThreadData {
  port: number;
  host: string;
  /** `BigInt64Array [2]`: {@link HEARTBEAT} and {@link READY}. */
  state: SharedArrayBuffer;
}

/** Cell: time of the last turn of the main event loop, in milliseconds since 1970. */
export const HEARTBEAT = 0;
/** Cell: 1 if the service is ready, otherwise 0. */
export const READY = 1;
/** Liveness fails after this time without a turn of the event loop. */
export const MAX_SILENCE_MS = 30_000;
