import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { answersIn, now, startLoad } from './load.mjs';
import { anonymousBytes, megabytes } from './memory.mjs';
import { verifyModels } from './models.mjs';
import { call, rootDir, sleep, startService, verifyRequests } from './service.mjs';
import { countsText, mean, median, percentile, sum } from './statistics.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 20);
/** Seconds of traffic without changes, before them and after. */
const WINDOW = Number(process.env.WINDOW ?? 30);
const CLIENTS = 4;
const PAUSE_MS = 500;
const SAMPLE_EVERY_MS = 250;
/** Percent that memory may have grown by after the changes. */
const MAX_GROWN = 5;
const ADMIN_KEY = 'key-for-the-benchmark-only';
const EMBEDDER = 'mobilefacenet-512';
const COPY = 'mobilefacenet-512-copy';

/** Swaps of the default embedder, loads and unloads, while clients verify without naming a model. */
export default async function swap(log) {
  const folder = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  try {
    await writeCopy(folder);
    return await swapUnderTraffic(folder, log);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function swapUnderTraffic(folder, log) {
  const service = await startService({
    ADMIN_KEY,
    FACE_MODEL_DIRS: [folder, join(rootDir, 'models')].join(delimiter),
  });
  const load = startLoad({ port: service.port, requests: verifyRequests(), clients: CLIENTS });
  const memoryOfEach = () => [service.pid, ...service.workers()].map(anonymousBytes);
  const memory = () => sum(memoryOfEach());
  const quiet = async () => {
    const from = now();
    const samples = [];
    while (now() - from < WINDOW * 1000) {
      await sleep(1000);
      samples.push(memory());
    }
    // The later half: workers that are new have found their size by then.
    return { from, until: now(), memory: median(samples.slice(samples.length >> 1)), each: memoryOfEach() };
  };
  const changes = [];
  const change = async (action, name, body) => {
    const at = now();
    const { status, body: answer } = await admin(service.port, `models/${name}/${action}`, body);
    if (status !== 200) throw new Error(`${action} of ${name}: ${status} ${answer}`);
    changes.push({ action, at, ms: now() - at });
    await sleep(PAUSE_MS);
  };

  while (load.answers.length < CLIENTS) await sleep(50);
  const before = await quiet();
  let most = before.memory;
  const watch = setInterval(() => (most = Math.max(most, memory() || 0)), SAMPLE_EVERY_MS);
  let [current, other] = [EMBEDDER, COPY];
  for (let round = 0; round < ROUNDS; round++) {
    await change('swap', current, { replacement: other });
    [current, other] = [other, current];
    log(`swap ${round + 1} of ${ROUNDS}: ${changes.at(-1).ms.toFixed(0)} ms, ${load.answers.length} answers`);
  }
  for (let round = 0; round < ROUNDS; round++) {
    await change('load', other, {});
    await change('warm', other);
    await change('unload', other);
    log(
      `load, warm, unload ${round + 1} of ${ROUNDS}: ${changes.slice(-3).map(({ ms }) => ms.toFixed(0))} ms`,
    );
  }
  clearInterval(watch);
  const during = { from: before.until, until: now() };
  const after = await quiet();
  const { answers } = await load.stop();
  await service.stop();

  const failed = answers.filter(({ status }) => status !== 200);
  const phases = [
    ['before the changes', before],
    ['during the changes', during],
    ['after the changes', after],
  ];
  const grown = (after.memory / before.memory - 1) * 100;
  return {
    columns: ['', 'seconds', 'verifications', 'verifications/s', 'p50 ms', 'p99 ms', 'slowest ms'],
    rows: phases.map(([name, phase]) => {
      const { count, perSecond, latencies } = answersIn(answers, phase);
      return [
        name,
        ((phase.until - phase.from) / 1000).toFixed(0),
        count,
        perSecond.toFixed(2),
        ...[0.5, 0.99, 1].map((share) => percentile(latencies, share).toFixed(0)),
      ];
    }),
    notes: [
      `${ROUNDS} swaps of the default embedder between ${EMBEDDER} and a copy of it, then ${ROUNDS} times load, warm and unload of the one that does not serve, ${PAUSE_MS} ms apart, while ${CLIENTS} clients verify and name no model. Failed requests: ${failed.length}${failed.length > 0 ? ` (${countsText(failed.map(({ status, code, error }) => code ?? (status || error)))})` : ''}.`,
      `Milliseconds of a change under this traffic, mean and longest: ${['swap', 'load', 'warm', 'unload'].map((action) => durations(action, changes)).join('; ')}.`,
      `Anonymous memory of server and workers under the same traffic: ${megabytes(before.memory)} MiB before, ${megabytes(after.memory)} MiB after (${grown.toFixed(1)} %; server and each worker: ${[before, after].map(({ each }) => each.map(megabytes).join(' + ')).join(', then ')}); while old and new workers stand side by side at most ${megabytes(most)} MiB.`,
    ],
    plots: [plot(answers, changes, before.from)],
    failures: [
      failed.length > 0 && `${failed.length} requests failed.`,
      grown > MAX_GROWN && `Memory grew by ${grown.toFixed(1)} %.`,
    ].filter(Boolean),
  };
}

/** The compiled default embedder under another name, with a card of its own. */
async function writeCopy(folder) {
  const { files } = await verifyModels();
  const { path } = files.find(({ card }) => card.name === EMBEDDER);
  const { compiled: _, ...card } = JSON.parse(
    readFileSync(join(rootDir, 'models', 'cards', `${EMBEDDER}.json`), 'utf8'),
  );
  const file = `${COPY}.onnx`;
  copyFileSync(path, join(folder, file));
  mkdirSync(join(folder, 'cards'));
  writeFileSync(join(folder, 'cards', `${COPY}.json`), JSON.stringify({ ...card, name: COPY, file }));
}

function admin(port, path, body) {
  const bytes = body == null ? undefined : Buffer.from(JSON.stringify(body));
  const headers = {
    authorization: `Bearer ${ADMIN_KEY}`,
    ...(bytes == null ? {} : { 'content-type': 'application/json', 'content-length': String(bytes.length) }),
  };
  return call(port, 'POST', `/admin/${path}`, headers, bytes);
}

function durations(action, changes) {
  const ms = changes.filter((change) => change.action === action).map((change) => change.ms);
  return `${action} ${mean(ms).toFixed(0)}, ${Math.max(...ms).toFixed(0)}`;
}

function plot(answers, changes, startedAt) {
  const seconds = (at) => (at - startedAt) / 1000;
  return {
    name: 'swap',
    title: 'Latency of verifications while models change (lines: an admin call begins)',
    data: [
      ...answers.map(({ at, ms }) => ({ second: seconds(at), ms })),
      ...changes.map(({ at, action }) => ({ change: seconds(at), action })),
    ],
    layer: [
      {
        transform: [{ filter: 'isValid(datum.change)' }],
        mark: { type: 'rule', opacity: 0.4 },
        encoding: {
          x: { field: 'change', type: 'quantitative' },
          color: { field: 'action', type: 'nominal', sort: null, title: null },
        },
      },
      {
        transform: [{ filter: 'isValid(datum.ms)' }],
        mark: { type: 'point', filled: true, size: 14, color: 'black' },
        encoding: {
          x: { field: 'second', type: 'quantitative' },
          y: { field: 'ms', type: 'quantitative', title: 'milliseconds' },
        },
      },
    ],
    encoding: { x: { type: 'quantitative', title: 'seconds' } },
  };
}
