import { startLoad } from './load.mjs';
import { megabytes, residentBytes } from './memory.mjs';
import { sleep, startService } from './service.mjs';
import { SOAK_SETTINGS, soakRequests } from './soak-requests.mjs';
import { mean, percentile, seededRandom, slope, sum } from './statistics.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? 5000);
const CLIENTS = 8;
const SAMPLE_EVERY_MS = 1000;
const PROGRESS_EVERY_MS = 10_000;
/** Share of the run that heaps and pools are given to find their size. */
const WARM_UP = 0.2;
/** The same of a short run: they take about 3,000 requests, in which memory grows by 10 to 15 %. */
const WARM_UP_OF_SHORT_RUN = 0.5;
/** Growth of all processes over the counted part, as a share of their memory, that counts as flat. */
const MAX_GROWTH = 0.02;
/** The same in a run so short that the ups and downs of heaps, 3 % within a minute, are all that a slope of it shows. */
const MAX_GROWTH_OF_SHORT_RUN = 0.1;
const SHORT_RUN = 50_000;
const SEQUENCE = 5000;

/** Mixed traffic, good and bad, for long: memory, model loads, answers. */
export default async function soak(log) {
  const service = await startService(SOAK_SETTINGS);
  const requests = await soakRequests(service.port);
  await requireExpected(service.port, requests);
  const loadsBefore = await service.modelLoads();
  const workersBefore = service.workers();
  const load = startLoad({
    port: service.port,
    requests,
    sequence: weighted(requests),
    clients: CLIENTS,
    count: REQUESTS,
  });
  // What was answered until then counts.
  process.once('SIGINT', () => void load.stop());
  const startedAt = performance.now();
  const memory = [];
  let isOver = false;
  let loggedAt = startedAt;
  void load.ended.then(() => (isOver = true));
  while (!isOver) {
    const seconds = (performance.now() - startedAt) / 1000;
    memory.push({ seconds, bytes: [service.pid, ...workersBefore].map(residentBytes) });
    if (performance.now() - loggedAt > PROGRESS_EVERY_MS) {
      loggedAt = performance.now();
      log(
        `${load.answers.length} of ${REQUESTS} answered, ${seconds.toFixed(0)} s, resident MB: ` +
          memory.at(-1).bytes.map(megabytes).join(', '),
      );
    }
    await Promise.race([load.ended, sleep(SAMPLE_EVERY_MS)]);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { answers } = await load.ended;
  const loadsAfter = await service.modelLoads();
  const workersAfter = service.workers();
  await service.stop();

  const unexpected = answers.filter(
    (answer) => outcome(answer) !== String(requests[answer.request].expected),
  );
  const isShort = answers.length < SHORT_RUN;
  const warmUp = isShort ? WARM_UP_OF_SHORT_RUN : WARM_UP;
  const steady = memory.filter((sample) => sample.seconds >= seconds * warmUp);
  const names = ['server', ...workersBefore.map((_, i) => `worker ${i + 1}`)];
  const series = [
    ...names.map((name, i) => ({ name, points: steady.map((at) => [at.seconds, at.bytes[i]]) })),
    { name: 'all', points: steady.map((at) => [at.seconds, sum(at.bytes)]) },
  ];
  const growth = ({ points }) =>
    (slope(points) * (points.at(-1)[0] - points[0][0])) / mean(points.map(([, y]) => y));
  const maxGrowth = isShort ? MAX_GROWTH_OF_SHORT_RUN : MAX_GROWTH;
  const failures = [
    unexpected.length > 0 && `${unexpected.length} answers were not the expected one.`,
    loadsAfter !== loadsBefore && 'Models were loaded.',
    String(workersAfter) !== String(workersBefore) && 'Workers were replaced.',
    growth(series.at(-1)) > maxGrowth && `Resident memory grew by more than ${maxGrowth * 100} %.`,
  ].filter(Boolean);
  const good = answers.filter(({ status }) => status === 200).map(({ ms }) => ms);
  return {
    columns: [
      'process',
      'at first MB',
      'at last MB',
      'least MB',
      'most MB',
      'slope MB per hour',
      'slope over the run',
    ],
    failures,
    rows: series.map((one) => {
      const { name, points } = one;
      const bytes = points.map(([, y]) => y);
      return [
        name,
        megabytes(bytes[0]),
        megabytes(bytes.at(-1)),
        megabytes(Math.min(...bytes)),
        megabytes(Math.max(...bytes)),
        megabytes(slope(points) * 3600),
        `${(growth(one) * 100).toFixed(2)} %`,
      ];
    }),
    notes: [
      `${answers.length} requests of ${CLIENTS} clients in ${seconds.toFixed(0)} s (${(answers.length / seconds).toFixed(1)}/s); successes took ${percentile(good, 0.5).toFixed(0)} ms (p50), ${percentile(good, 0.99).toFixed(0)} ms (p99). Answers that were not the expected one: ${unexpected.length}${unexpected.length > 0 ? ` (${examples(unexpected, requests)})` : ''}. Model loads ${loadsAfter === loadsBefore ? 'as after the boot' : `CHANGED from ${loadsBefore} to ${loadsAfter}`}. Workers ${String(workersAfter) === String(workersBefore) ? 'the same as at the start' : 'CHANGED'}.`,
      `Resident memory, sampled every second; the first ${warmUp * 100} % of the run are left out, the slope is that of the least squares.`,
      answersTable(answers, requests),
    ],
    plots: [plot(memory, names)],
  };
}

/** Every kind once, so that a wrong mix ends the run at once. */
async function requireExpected(port, requests) {
  const { answers } = await startLoad({ port, requests, clients: 1, count: requests.length }).ended;
  const wrong = answers.filter((answer) => outcome(answer) !== String(requests[answer.request].expected));
  if (wrong.length > 0) throw new Error(`Unexpected answers: ${examples(wrong, requests)}.`);
}

function outcome({ status, code, error }) {
  return String(code ?? (status === 0 ? error : status));
}

function examples(answers, requests) {
  const texts = answers.map((answer) => `${requests[answer.request].name}: ${outcome(answer)}`);
  return [...new Set(texts)].slice(0, 10).join('; ');
}

/** Indices of the requests as often as their weights say, in an order that is the same on every run. */
function weighted(requests) {
  const random = seededRandom(1);
  const total = sum(requests.map(({ weight }) => weight));
  return Array.from({ length: SEQUENCE }, () => {
    let left = random() * total;
    return Math.max(
      0,
      requests.findIndex(({ weight }) => (left -= weight) < 0),
    );
  });
}

function answersTable(answers, requests) {
  const counts = new Map();
  for (const { request } of answers) {
    const { name, expected } = requests[request];
    const key = `| ${name} | ${expected} |`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const lines = [...counts].sort((a, b) => b[1] - a[1]).map(([key, count]) => `${key} ${count} |`);
  return ['| what was sent | expected | how often |', '| --- | --- | --- |', ...lines].join('\n');
}

function plot(memory, names) {
  // As many points as can be seen.
  const every = Math.max(1, Math.ceil(memory.length / 400));
  return {
    name: 'soak',
    title: 'Resident memory of server and workers under mixed traffic',
    data: memory
      .filter((_, i) => i % every === 0)
      .flatMap(({ seconds, bytes }) =>
        names.map((name, i) => ({ name, minutes: seconds / 60, megabytes: bytes[i] / 2 ** 20 })),
      ),
    mark: 'line',
    encoding: {
      x: { field: 'minutes', type: 'quantitative', title: 'minutes' },
      y: { field: 'megabytes', type: 'quantitative', title: 'resident memory, MiB' },
      color: { field: 'name', type: 'nominal', sort: null, title: null },
    },
  };
}
