import { readFileSync } from 'node:fs';
import { now, startLoad } from './load.mjs';
import { multipartRequest, samples, sleep, startService, verifyRequests } from './service.mjs';
import { countsText, percentile, seededRandom } from './statistics.mjs';

const KILLS = Number(process.env.KILLS ?? 100);
const TERMS = Number(process.env.TERMS ?? 50);
const SIGNALS = ['SIGKILL', 'SIGSEGV', 'SIGSTOP'];
const DEADLINE_MS = 5000;
const CLIENTS = 4;
/** Milliseconds between two kills: from a worker that has just started to one that has answered for a while. */
const KILL_PAUSE_MS = [200, 1800];
/** Milliseconds of load before SIGTERM. */
const TERM_AFTER_MS = [200, 2000];
/** Copies of each photo that differ in a byte: an image that is at work in two workers that end is refused from then on. */
const COPIES = 40;
/** The service logs every worker that fails, as it should. */
const LOG = { LOG_LEVEL: 'fatal' };

/** Workers that are killed, and a server that is told to stop, under load. */
export default async function faults(log) {
  const random = seededRandom(1);
  const between = ([low, high]) => low + random() * (high - low);
  const killed = await killWorkers(log, random, between);
  const terminated = await terminateServers(log, between);
  return {
    columns: ['fault', 'rounds', 'requests', 'answers', 'wrong or lost', 'what took longest, ms'],
    rows: [killed.row, terminated.row],
    notes: [killed.note, terminated.note],
    failures: [...killed.failures, ...terminated.failures],
  };
}

async function killWorkers(log, random, between) {
  const service = await startService({ ...LOG, FACE_REQUEST_TIMEOUT_MS: String(DEADLINE_MS) });
  const workerCount = service.workers().length;
  const load = startLoad({ port: service.port, requests: distinctRequests(), clients: CLIENTS });
  while (load.answers.length < CLIENTS) await sleep(50);
  const signals = [];
  while (signals.length < KILLS) {
    await sleep(between(KILL_PAUSE_MS));
    const pids = service.workers();
    if (pids.length === 0) continue;
    const signal = SIGNALS[signals.length % SIGNALS.length];
    if (!kill(pids[Math.floor(random() * pids.length)], signal)) continue;
    signals.push(signal);
    if (signals.length % 10 === 0) log(`${signals.length} of ${KILLS} kills, ${load.answers.length} answers`);
  }
  const readyMs = await service.ready();
  // What was stopped and had no work is found out by the next image that it gets.
  await sleep(DEADLINE_MS);
  const { answers } = await load.stop();
  const after = startLoad({
    port: service.port,
    requests: verifyRequests(),
    clients: 1,
    count: samples.length,
  });
  const healed = (await after.ended).answers.filter(({ status }) => status === 200).length;
  const workersAfter = service.workers().length;
  const exitCode = await service.stop();

  const wrong = answers.filter((answer) => !isRightUnderFaults(answer));
  return {
    failures: [
      wrong.length > 0 && `${wrong.length} requests had a wrong answer, or none.`,
      healed < samples.length && `${samples.length - healed} verifications failed after the last kill.`,
      exitCode !== 0 && `The server ended with ${exitCode}.`,
    ].filter(Boolean),
    row: [
      `a worker gets ${SIGNALS.join(', ')}`,
      KILLS,
      answers.length,
      countsText(answers.map(outcome)),
      wrong.length === 0 ? 0 : countsText(wrong.map(outcome)),
      `answer: ${Math.max(...answers.map(({ ms }) => ms)).toFixed(0)}, p99 ${percentile(
        answers.map(({ ms }) => ms),
        0.99,
      ).toFixed(0)}`,
    ],
    note: `Kills: ${CLIENTS} clients detect faces in photos that all differ; every ${KILL_PAUSE_MS.join(' to ')} ms a worker taken by chance gets the next signal. Right is success, or a coded 5xx with Retry-After. Deadline ${DEADLINE_MS} ms. From the last kill to /health/ready: ${readyMs.toFixed(0)} ms. Workers ${workerCount} before, ${workersAfter} after; of ${samples.length} verifications afterwards ${healed} succeeded; exit code ${exitCode}.`,
  };
}

async function terminateServers(log, between) {
  const all = [];
  const lost = [];
  const drains = [];
  const exitCodes = [];
  let afterwards = 0;
  for (let round = 0; round < TERMS; round++) {
    const service = await startService(LOG);
    const load = startLoad({ port: service.port, requests: verifyRequests(), clients: CLIENTS });
    while (load.answers.length === 0) await sleep(20);
    await sleep(between(TERM_AFTER_MS));
    const signalledAt = now();
    exitCodes.push(await service.stop());
    drains.push(now() - signalledAt);
    const { answers } = await load.stop();
    all.push(...answers.filter(({ sentAt }) => sentAt != null && sentAt < signalledAt));
    afterwards += answers.filter(({ at, status }) => at > signalledAt && status !== 0).length;
    lost.push(...answers.filter((answer) => isLost(answer, signalledAt)));
    if ((round + 1) % 5 === 0) log(`${round + 1} of ${TERMS} SIGTERMs, ${lost.length} requests lost`);
  }
  return {
    failures: [
      lost.length > 0 && `${lost.length} requests were lost at SIGTERM.`,
      exitCodes.some((code) => code !== 0) && 'A server did not end with 0.',
    ].filter(Boolean),
    row: [
      'the server gets SIGTERM',
      TERMS,
      all.length,
      countsText(all.map(outcome)),
      lost.length === 0 ? 0 : countsText(lost.map(outcome)),
      `exit: ${Math.max(...drains).toFixed(0)}, p50 ${percentile(drains, 0.5).toFixed(0)}`,
    ],
    note: `SIGTERM: a new service is started for each round and gets the signal ${TERM_AFTER_MS.join(' to ')} ms after its first answer, while ${CLIENTS} clients verify. Counted is every request that was sent whole before the signal; lost is one of them without a whole answer, and any answer that was begun and not finished. Requests that were sent after the signal, on connections that were open, and answered all the same: ${afterwards}. Exit codes: ${countsText(exitCodes)}.`,
  };
}

function isRightUnderFaults({ status, code, retryAfter }) {
  return status === 200 || (status >= 500 && code != null && retryAfter != null);
}

function isLost({ sentAt, status, gotBytes }, signalledAt) {
  const isOwed = (sentAt != null && sentAt < signalledAt) || gotBytes;
  return isOwed && status === 0;
}

function outcome({ status, code, error }) {
  return status === 0 ? error : [status, code].filter((part) => part != null).join(' ');
}

/** False where it ended by itself just now. */
function kill(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Bytes after the end of a JPEG change its hash, not its picture. */
function distinctRequests() {
  return Array.from({ length: COPIES }, (_, copy) =>
    samples.map((path) =>
      multipartRequest('/v1/detect', { image: Buffer.concat([readFileSync(path), Buffer.from([copy])]) }),
    ),
  ).flat();
}
