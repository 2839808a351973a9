import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { rootDir } from './service.mjs';
import { sum } from './statistics.mjs';

/** Starts one process per core that can measure the native costs of a verification (native-process.mjs). */
export async function startNative() {
  const children = Array.from({ length: availableParallelism() }, () =>
    fork(join(rootDir, 'bench', 'native-process.mjs')),
  );
  await Promise.all(children.map((child) => answer(child)));
  const measure = async (some, seconds) => {
    const answers = await Promise.all(
      some.map((child) => {
        child.send({ type: 'measure', seconds });
        return answer(child);
      }),
    );
    // The next measurement waits until the last round of this one has ended.
    await Promise.all(
      some.map((child) => {
        child.send({ type: 'rest' });
        return answer(child);
      }),
    );
    return answers.map(({ nativeMsPerVerify }) => nativeMsPerVerify);
  };
  return {
    /** Milliseconds of one verification on one thread while the other cores rest. */
    alone: async (seconds) => (await measure(children.slice(0, 1), seconds))[0],
    /** Verifications per second of all cores at the same time. */
    together: async (seconds) => sum((await measure(children, seconds)).map((ms) => 1000 / ms)),
    stop() {
      for (const child of children) child.disconnect();
    },
  };
}

async function answer(child) {
  const over = new AbortController();
  const ended = once(child, 'exit', { signal: over.signal }).then(() => {
    throw new Error('A process that measures native costs ended.');
  });
  try {
    return (await Promise.race([once(child, 'message', { signal: over.signal }), ended]))[0];
  } finally {
    ended.catch(() => undefined);
    over.abort();
  }
}
