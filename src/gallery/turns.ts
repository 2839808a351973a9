import { setImmediate } from 'node:timers';

/** Milliseconds of work on the event loop between two turns. */
const TURN_MS = 2;

/** Jobs that wait for their turn, the first one first. */
const waiting: (() => void)[] = [];

/**
 * Lets the event loop turn after a few milliseconds of work. Jobs continue one per turn, in order: if all of them continued in
 * the same turn, a health check would wait for the sum of their work.
 */
export class Turns {
  private beganAt = performance.now();

  /** @returns whether it has turned: data that was read before may have changed. */
  async next(): Promise<boolean> {
    if (performance.now() - this.beganAt < TURN_MS) return false;
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(continueFirst);
    });
    this.beganAt = performance.now();
    return true;
  }
}

function continueFirst(): void {
  const [first] = waiting;
  first();
  waiting.shift();
  if (waiting.length > 0) setImmediate(continueFirst);
}
