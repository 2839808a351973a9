import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { answersIn, now, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { anonymousBytes, megabytes, residentBytes } from './memory.mjs';
import { rootDir, sleep, startService, verifyRequests } from './service.mjs';
import { percentile, sum } from './statistics.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const WINDOW = Number(process.env.WINDOW ?? 20);

/** The same photos and work in face-api on its wasm backend, in turn with Likeness; each with the models of its own. */
export default async function peer(log) {
  const require = createRequire(import.meta.url);
  try {
    require.resolve('@tensorflow/tfjs-backend-wasm');
  } catch (error) {
    throw new Error('The peer needs its own packages: npm ci --prefix bench', { cause: error });
  }
  const cores = availableParallelism();
  // Without the attribute models, which the peer is not asked for either.
  const service = await startService({ FACE_ATTRIBUTE_MODELS: '' });
  const peers = await Promise.all(Array.from({ length: cores }, startPeer));
  const cases = [
    ...[1, cores, 2 * cores].map((clients) => ({
      side: 'Likeness over HTTP',
      width: `${clients} ${clients === 1 ? 'client' : 'clients'}`,
      run: () => runLikeness(service, clients),
      pids: () => [service.pid, ...service.workers()],
      windows: [],
    })),
    ...[1, cores].map((count) => ({
      side: 'face-api, wasm',
      width: `${count} ${count === 1 ? 'process' : 'processes'}`,
      run: () => runPeers(peers.slice(0, count)),
      pids: () => peers.slice(0, count).map(({ pid }) => pid),
      windows: [],
    })),
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of cases) {
      one.windows.push(await one.run());
      log(`round ${round + 1}, ${one.side}, ${one.width}: ${one.windows[round].perSecond.toFixed(2)}/s`);
    }
  }
  const rows = cases.map(({ side, width, windows, pids }) => {
    const latencies = windows.flatMap((window) => window.latencies);
    const perSecond = sum(windows.map((window) => window.perSecond)) / ROUNDS;
    return {
      side,
      width,
      perSecond,
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      resident: sum(pids().map(residentBytes)),
      anonymous: sum(pids().map(anonymousBytes)),
    };
  });
  for (const { stop } of peers) stop();
  await service.stop();
  const whole = rows.at(-1);
  return {
    columns: [
      '',
      'at the same time',
      'verifications/s',
      `ratio to face-api, ${whole.width}`,
      'p50 ms',
      'p99 ms',
      'resident memory MB',
      'of it anonymous MB',
    ],
    rows: rows.map(({ side, width, perSecond, p50, p99, resident, anonymous }) => [
      side,
      width,
      perSecond.toFixed(2),
      `${(perSecond / whole.perSecond).toFixed(1)} x`,
      p50.toFixed(0),
      p99.toFixed(0),
      megabytes(resident),
      megabytes(anonymous),
    ]),
    notes: [
      `${ROUNDS} rounds, both sides in turn, ${WINDOW} s each. A verification is two photos of 1,920 px with three to five faces each: decode, detect, 68 landmarks, embedding of the best face, distance. Likeness is the whole service with its default models (RFB-320 and MobileFaceNet): HTTP, multipart, one worker per core. face-api runs its own (SSD MobileNetV1 and the 128-d descriptor), which were the default of Likeness before: \`bench verify\` compares the two sets within Likeness. face-api (1.7.15, TensorFlow.js 4.22.0, wasm with ${peers[0].simd ? '' : 'no '}SIMD, threads per process: ${peers[0].threads}) is a bare loop without a server, one process per core, photos decoded by sharp. Memory is after the last round, all processes of a side together; what several processes map from one file is counted in each as resident.`,
    ],
    plots: [
      plot(rows, 'peer-throughput', 'Verifications per second, Likeness and face-api', [
        ['verifications per second', 'perSecond'],
      ]),
      plot(rows, 'peer-latency', 'Milliseconds of a verification, Likeness and face-api', [
        ['p50', 'p50'],
        ['p99', 'p99'],
      ]),
    ],
  };
}

async function runLikeness(service, clients) {
  const load = startLoad({ port: service.port, requests: verifyRequests(), clients });
  const window = await steadyWindow(load, clients, WINDOW);
  const { answers } = await load.stop();
  requireSuccess(answers);
  return answersIn(answers, window);
}

async function runPeers(peers) {
  const answers = [];
  for (const { start } of peers) start((answer) => answers.push(answer));
  while (answers.length < peers.length) await sleep(50);
  const from = now();
  await sleep(WINDOW * 1000);
  const until = now();
  await Promise.all(peers.map(({ rest }) => rest()));
  return answersIn(answers, { from, until });
}

/** A process with face-api, its networks loaded and warm. */
async function startPeer() {
  // face-api greets on the standard output.
  const child = fork(join(rootDir, 'bench', 'peer-process.mjs'), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let onAnswer;
  let onRest;
  const ready = new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (message.type === 'ready') resolve(message);
      else if (message.type === 'answer') onAnswer(message.answer);
      else onRest();
    });
    child.once('exit', () => reject(new Error('A process of the peer ended.')));
  });
  const { simd, threads } = await ready;
  return {
    pid: child.pid,
    simd,
    threads,
    start(listener) {
      onAnswer = listener;
      child.send({ type: 'start' });
    },
    rest: () =>
      new Promise((resolve) => {
        onRest = resolve;
        child.send({ type: 'stop' });
      }),
    stop: () => child.disconnect(),
  };
}

function plot(rows, name, title, series) {
  return {
    name,
    title,
    data: rows.flatMap(({ side, width, ...figures }) =>
      series.map(([what, key]) => ({ row: `${side}, ${width}`, what, value: figures[key] })),
    ),
    mark: 'bar',
    encoding: {
      y: { field: 'row', type: 'nominal', sort: null, title: null, axis: { labelLimit: 300 } },
      yOffset: { field: 'what', type: 'nominal' },
      x: {
        field: 'value',
        type: 'quantitative',
        title: series.length > 1 ? 'milliseconds' : series[0][0],
      },
      ...(series.length > 1 ? { color: { field: 'what', type: 'nominal', title: null } } : {}),
    },
  };
}
