import { setImmediate } from 'node:timers/promises';

/** Milliseconds of work on the event loop between two turns. */
const TURN_MS = 2;

/** Yields to the event loop after a few milliseconds of work. */
export class Turns {
  private beganAt = performance.now();

  /** @returns whether it yielded: values read before may have changed. */
  async next(): Promise<boolean> {
    if (performance.now() - this.beganAt < TURN_MS) return false;
    await setImmediate();
    this.beganAt = performance.now();
    return true;
  }
}
