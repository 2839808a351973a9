import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { rootDir, sleep } from './service.mjs';

/** Milliseconds since 1970 with fractions: comparable between the processes of one machine. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/**
 * Starts a load generator, a process of its own (load-process.mjs), so that neither bench nor service share a thread
 * with it.
 *
 * @param plan - port, requests ({ method, path, headers, body, leave }), and either `clients` (each sends its next request
 * when the last one is answered) or `arrivals` ([{ address, perSecond }]: Poisson, whether answered or not; `address` is
 * the local one). `sequence`: indices of the requests in the order they are sent; else in turn. `count`: requests after
 * which it ends by itself. `nice`: added to the process's niceness. `pauseMs`: rest of a client after each answer.
 * @returns `answers` so far, { at, sentAt, ms, status, code, retryAfter, address, request, error, gotBytes } each;
 * `stop()` sends no more, waits for what is under way, and gives { answers, cpuMs }; `ended` does the same by itself.
 */
export function startLoad(plan) {
  const child = fork(join(rootDir, 'bench', 'load-process.mjs'), { serialization: 'advanced' });
  const answers = [];
  let cpuMs = NaN;
  child.on('message', (message) => {
    for (const answer of message.answers) answers.push(answer);
    cpuMs = message.cpuMs;
  });
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error('The load generator failed.');
    return { answers, cpuMs };
  });
  child.send({ type: 'start', plan });
  return {
    answers,
    cpuMs: () => cpuMs,
    ended,
    stop() {
      if (child.connected) child.send({ type: 'stop' });
      return ended;
    },
  };
}

/** Ends the run where an answer is not a success: such figures would say nothing. */
export function requireSuccess(answers) {
  const bad = answers.find(({ status }) => status < 200 || status >= 300);
  if (bad != null) throw new Error(`Expected success but received ${bad.status} ${bad.code ?? bad.error}.`);
}

/**
 * Lets a closed load reach its steady state, then `seconds` pass.
 *
 * The window begins when every client had its first answer, and all clients go on when it ends: as much work is half done
 * at the one end as at the other.
 *
 * @param load - as {@link startLoad} gives it; it goes on.
 * @returns `from`, `until` for {@link answersIn}; `loadCpuMs`: processor time of the load generator in between.
 */
export async function steadyWindow(load, clients, seconds) {
  while (load.answers.length < clients) await sleep(50);
  const from = now();
  const cpuBefore = load.cpuMs();
  await sleep(seconds * 1000);
  return { from, until: now(), loadCpuMs: load.cpuMs() - cpuBefore };
}

/** What was answered in a window. */
export function answersIn(answers, { from, until }) {
  const counted = answers.filter(({ at, ms }) => at + ms > from && at + ms <= until);
  return {
    count: counted.length,
    perSecond: counted.length / ((until - from) / 1000),
    latencies: counted.map(({ ms }) => ms),
  };
}
