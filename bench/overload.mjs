import { answersIn, now, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { megabytes, residentBytes } from './memory.mjs';
import { call, sleep, startService, verifyRequests } from './service.mjs';
import { countsText, percentile, sum } from './statistics.mjs';

const WINDOW = Number(process.env.WINDOW ?? 60);
const DEADLINE_MS = 5000;
const OVERLOAD = 10;
/** Callers with little to ask, and how much of the capacity each of them asks for. */
const SMALL_CALLERS = 5;
const SMALL_SHARE = 0.1;
const CAPACITY_CLIENTS = 8;
const SETTLE_MS = 5000;

/** Ten times what the service can do, for a minute: one caller that asks for nearly all of it, five that ask for little. */
export default async function overload(log) {
  const service = await startService({ FACE_REQUEST_TIMEOUT_MS: String(DEADLINE_MS) });
  const requests = verifyRequests();
  const memory = () => sum([service.pid, ...service.workers()].map(residentBytes));
  const capacity = await measureCapacity(service.port, requests);
  log(`capacity: ${capacity.toFixed(2)} verifications/s`);
  await sleep(SETTLE_MS);
  const before = memory();

  const small = Array.from({ length: SMALL_CALLERS }, (_, i) => `127.0.0.${i + 3}`);
  const arrivals = [
    { address: '127.0.0.2', perSecond: capacity * (OVERLOAD - SMALL_CALLERS * SMALL_SHARE) },
    ...small.map((address) => ({ address, perSecond: capacity * SMALL_SHARE })),
  ];
  const load = startLoad({ port: service.port, requests, arrivals });
  const startedAt = now();
  let most = before;
  while (now() - startedAt < WINDOW * 1000) {
    await sleep(1000);
    most = Math.max(most, memory());
  }
  const seconds = (now() - startedAt) / 1000;
  const { answers } = await load.stop();
  log(countsText(answers.map(outcome)));
  await sleep(SETTLE_MS);
  const after = memory();
  const { method, path, headers, body } = requests[0];
  const later = await call(service.port, method, path, headers, body);
  await service.stop();

  const callers = [
    ['one caller with nearly all of it', ({ address }) => !small.includes(address)],
    [
      `${SMALL_CALLERS} callers with ${SMALL_SHARE} of the capacity each`,
      ({ address }) => small.includes(address),
    ],
    ['all', () => true],
  ];
  const refusals = answers.filter(({ status }) => status !== 200);
  const silent = refusals.filter(({ retryAfter }) => retryAfter == null);
  const late = answers.filter(({ status }) => ![200, 429, 503].includes(status));
  const slowest = Math.max(...answers.map(({ ms }) => ms));
  const accepted = answers.filter(({ status }) => status === 200);
  return {
    columns: [
      'caller',
      'sent',
      'sent/s',
      'accepted',
      'refused or late',
      'accepted p50 ms',
      'accepted p99 ms',
    ],
    rows: callers.map(([name, isOfCaller]) => {
      const own = answers.filter(isOfCaller);
      const good = own.filter(({ status }) => status === 200).map(({ ms }) => ms);
      const bad = own.filter(({ status }) => status !== 200);
      return [
        name,
        own.length,
        (own.length / seconds).toFixed(1),
        `${good.length} (${((good.length / own.length) * 100).toFixed(0)} %)`,
        countsText(bad.map(outcome)),
        percentile(good, 0.5).toFixed(0),
        percentile(good, 0.99).toFixed(0),
      ];
    }),
    notes: [
      `Capacity, measured before with ${CAPACITY_CLIENTS} clients: ${capacity.toFixed(2)} verifications/s; under overload ${(accepted.length / seconds).toFixed(2)} were accepted per second. Arrivals are Poisson, whether answered or not, for ${WINDOW} s, each caller from a loopback address of its own. Deadline ${DEADLINE_MS} ms (FACE_REQUEST_TIMEOUT_MS); the slowest answer of all took ${slowest.toFixed(0)} ms. Refusals without Retry-After: ${silent.length}${silent.length > 0 ? ` (${countsText(silent.map(outcome))})` : ''}.`,
      `Resident memory of server and workers: ${megabytes(before)} MiB before, at most ${megabytes(most)} MiB during, ${megabytes(after)} MiB ${SETTLE_MS / 1000} s after the last answer. A verification afterwards: ${later.status}.`,
    ],
    failures: [
      silent.length > 0 && `${silent.length} refusals have no Retry-After.`,
      late.length > 0 &&
        `${late.length} answers were neither success nor 429 nor 503: ${countsText(late.map(outcome))}.`,
      later.status !== 200 && 'A verification afterwards failed.',
    ].filter(Boolean),
    plots: [answersPlot(answers, startedAt), latencyPlot(accepted, startedAt, small)],
  };
}

async function measureCapacity(port, requests) {
  const load = startLoad({ port, requests, clients: CAPACITY_CLIENTS });
  const window = await steadyWindow(load, CAPACITY_CLIENTS, WINDOW / 4);
  const { answers } = await load.stop();
  requireSuccess(answers);
  return answersIn(answers, window).perSecond;
}

function outcome({ status, code, error }) {
  return status === 200 ? '200' : status === 0 ? error : `${status} ${code}`;
}

function answersPlot(answers, startedAt) {
  const counts = new Map();
  for (const answer of answers) {
    const key = JSON.stringify([Math.floor((answer.at + answer.ms - startedAt) / 1000), outcome(answer)]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return {
    name: 'overload-answers',
    title: `Answers per second at ${OVERLOAD} times the capacity`,
    data: [...counts].map(([key, count]) => {
      const [second, what] = JSON.parse(key);
      return { second, what, count };
    }),
    mark: { type: 'bar', width: { band: 1 } },
    encoding: {
      x: { field: 'second', type: 'ordinal', title: 'seconds', axis: { labelOverlap: true, labelAngle: 0 } },
      y: { field: 'count', type: 'quantitative', title: 'answers per second' },
      color: { field: 'what', type: 'nominal', title: null },
    },
  };
}

function latencyPlot(accepted, startedAt, small) {
  return {
    name: 'overload-latency',
    title: `Accepted requests at ${OVERLOAD} times the capacity (dashed: the deadline)`,
    data: accepted.map(({ at, ms, address }) => ({
      second: (at - startedAt) / 1000,
      ms,
      caller: small.includes(address) ? 'callers with little to ask' : 'the caller with nearly all of it',
    })),
    layer: [
      {
        mark: { type: 'point', filled: true, size: 18 },
        encoding: {
          x: { field: 'second', type: 'quantitative', title: 'sent at, seconds' },
          y: { field: 'ms', type: 'quantitative' },
          color: { field: 'caller', type: 'nominal', title: null },
        },
      },
      { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { y: { datum: DEADLINE_MS } } },
    ],
    encoding: { y: { type: 'quantitative', title: 'milliseconds to the answer' } },
  };
}
