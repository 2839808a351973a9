import { setTimeout as sleep } from 'node:timers/promises';
import { getPriority, setPriority } from 'node:os';
import { INPUTS } from './inputs.mjs';

/*
 * Child process: `node attack.mjs --list` prints the inputs as JSON. Forked, it gets { name, port, key, clients }, sends the
 * input in a loop with so many clients until it is stopped, and answers with how often it got each status.
 */

/** The load may be starved; whoever measures what the service does may not. */
const NICENESS = 10;
/** A client that is not served must not become one that only burns the processor. */
const PAUSE_MS = 2;

if (process.argv.includes('--list')) {
  console.log(JSON.stringify(INPUTS.map(({ name, fault, expected }) => ({ name, fault, expected }))));
} else {
  process.once('message', (plan) => void attack(plan));
}

async function attack({ name, port, key, clients }) {
  setPriority(getPriority() + NICENESS);
  let isOver = false;
  process.once('message', () => (isOver = true));
  process.once('disconnect', () => process.exit(1));
  const sendOnce = await INPUTS.find((input) => input.name === name).prepare(key);
  const counts = {};
  let rounds = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (!isOver) {
        for (const status of await sendOnce(port)) counts[status] = (counts[status] ?? 0) + 1;
        process.send({ rounds: ++rounds });
        await sleep(PAUSE_MS);
      }
    }),
  );
  process.send({ counts }, () => process.exit(0));
}
