import { setImmediate } from 'node:timers';

/*
 * One queue for all work on the event loop that can wait: requests, slices of long jobs, answers. One per turn of the loop, in
 * order. If all that is ready ran in the same turn, a health check would wait for the sum.
 */

/** Milliseconds of a job's work in one turn. */
const TURN_MS = 2;

/** The first one is next. */
const waiting: (() => void)[] = [];
/** Whether the present turn is somebody's, or is about to end. */
let isTaken = false;

/** Resolves in the caller's turn: the present one if nobody has it, otherwise a later one. */
export function takeTurn(): Promise<void> {
  if (isTaken) return nextTurn();
  endTurnLater();
  return Promise.resolve();
}

/** Resolves in the caller's next turn. For a job that has just worked for a while. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (!isTaken) endTurnLater();
  });
}

/** Turns of one job: lets the event loop turn after a few milliseconds of work. */
export class Turns {
  private beganAt = performance.now();

  /** @returns whether it has turned: data that was read before may have changed. */
  async next(): Promise<boolean> {
    if (performance.now() - this.beganAt < TURN_MS) return false;
    await nextTurn();
    this.beganAt = performance.now();
    return true;
  }
}

function endTurnLater(): void {
  isTaken = true;
  setImmediate(giveTurn);
}

function giveTurn(): void {
  const next = waiting.shift();
  isTaken = false;
  if (next == null) return;
  endTurnLater();
  next();
}
