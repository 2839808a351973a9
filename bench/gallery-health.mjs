import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { answersIn, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { megabytes, residentBytes } from './memory.mjs';
import { People } from './people.mjs';
import { DIMENSIONS, RANDOM_EMBEDDER, writeRandomEmbedder } from './random-embedder.mjs';
import { call, freePort, jsonRequest, rootDir, sleep, startService } from './service.mjs';
import { percentile } from './statistics.mjs';

const require = createRequire(import.meta.url);
const { exportGallery } = require(join(rootDir, 'dist', 'gallery', 'backup', 'export-gallery.js'));

const SIZE = Number(process.env.SIZE ?? 1_000_000);
const CLIENTS = 16;
const WINDOW = Number(process.env.WINDOW ?? 60);
const PROBE_EVERY_MS = 10;
/** As in the scenario health: the load may be starved, the prober may not. */
const LOAD_NICE = 10;
/** References of one import: a request may take five minutes. */
const PART = 100_000;
const PROBES = 64;
const GALLERY = 'bench';
const ADMIN_KEY = 'key-of-this-benchmark';

/** Of a search: of 100 teams three, of three levels one, and one of all employees. */
const FILTERS = [{ team: [1, 2, 3] }, { level: 0 }, { employee: 'e77' }];

/** How fast the server answers a health check while clients identify against a large gallery. */
export default async function galleryHealth(log) {
  const modelsDir = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  const control = fork(join(rootDir, 'bench', 'control-server.mjs'));
  let service;
  try {
    const [controlPort] = await once(control, 'message');
    const healthPort = await freePort();
    writeRandomEmbedder(modelsDir);
    service = await startService({
      ADMIN_KEY,
      FACE_EMBEDDERS: RANDOM_EMBEDDER,
      FACE_ATTRIBUTE_MODELS: '',
      FACE_MODEL_DIRS: [join(rootDir, 'models'), modelsDir].join(delimiter),
      FACE_CACHE_DIR: modelsDir,
      FACE_HEALTH_PORT: String(healthPort),
    });
    const people = new People(DIMENSIONS);
    const contract = await makeGallery(service.port);
    for (let begin = 0; begin < SIZE; begin += PART) {
      await fill(service.port, people, contract, begin, Math.min(PART, SIZE - begin));
      log(`${Math.min(SIZE, begin + PART)} of ${SIZE} references`);
    }
    const toRequest = (filter) =>
      jsonRequest(`/v1/galleries/${GALLERY}/identify`, {
        probe: { embedding: Array.from(people.next()), contract },
        filter,
      });
    const probes = Array.from({ length: PROBES }, () => toRequest());
    const filtered = probes.map((_, i) => toRequest(FILTERS[i % FILTERS.length]));

    const probers = [service.port, healthPort, controlPort].map((port) =>
      startLoad({
        port,
        requests: [{ method: 'GET', path: '/health/live', headers: {} }],
        clients: 1,
        pauseMs: PROBE_EVERY_MS,
      }),
    );
    const measure = async (clients, seconds, load) => {
      while (load.answers.length < clients) await sleep(50);
      return steadyWindow(load, clients, seconds);
    };
    const idle = await measure(1, WINDOW / 4, probers[0]);
    const rows = [['idle', idle, []]];
    for (const [name, requests] of [
      [`${CLIENTS} clients identify`, probes],
      [`${CLIENTS} clients identify with a filter`, filtered],
    ]) {
      const load = startLoad({ port: service.port, requests, clients: CLIENTS, nice: LOAD_NICE });
      const window = await measure(CLIENTS, WINDOW, load);
      const { answers } = await load.stop();
      requireSuccess(answers);
      rows.push([name, window, answers]);
    }
    for (const prober of probers) requireSuccess((await prober.stop()).answers);
    const resident = residentBytes(service.pid);
    const cases = rows.map(([name, window, answers]) => ({
      name,
      identified: answersIn(answers, window),
      latencies: probers.map(({ answers }) => answersIn(answers, window).latencies),
    }));
    return {
      columns: [
        '',
        'identifications/s',
        'p50 ms',
        'p99 ms',
        'probes',
        ...['p50', 'p90', 'p99', 'max'].map((share) => `/health/live ${share} ms`),
        'on FACE_HEALTH_PORT p99 ms',
        'control p99 ms',
      ],
      rows: cases.map(({ name, identified, latencies: [latencies, ...others] }) => [
        name,
        identified.perSecond.toFixed(1),
        ...[0.5, 0.99].map((share) =>
          identified.latencies.length > 0 ? percentile(identified.latencies, share).toFixed(0) : '',
        ),
        latencies.length,
        ...[0.5, 0.9, 0.99, 1].map((share) => percentile(latencies, share).toFixed(1)),
        ...others.map((other) => percentile(other, 0.99).toFixed(1)),
      ]),
      notes: [
        `${SIZE.toLocaleString('en-US')} subjects with one reference of ${DIMENSIONS} numbers each, in memory; filters in turn: ${FILTERS.map((filter) => JSON.stringify(filter)).join(', ')}; probes are embeddings of ${DIMENSIONS} numbers as JSON, five candidates asked for. Probers in processes of their own ask every ${PROBE_EVERY_MS} ms on one connection each, ${WINDOW / 4} s without and ${WINDOW} s with load: the port of the service, FACE_HEALTH_PORT, and, as a control, a server that does nothing else. The control shows the delays of the machine itself. The load generator has a niceness of ${LOAD_NICE}. Resident memory of the server: ${megabytes(resident)} MiB.`,
      ],
      failures: [],
    };
  } finally {
    await service?.stop();
    control.disconnect();
    rmSync(modelsDir, { recursive: true, force: true });
  }
}

async function makeGallery(port) {
  const { method, path, headers, body } = jsonRequest('/v1/galleries', {
    id: GALLERY,
    capacity: 2 * SIZE,
    enrollmentGate: 'off',
  });
  const answer = await call(port, method, path, headers, body);
  if (answer.status !== 201) throw new Error(`The gallery was refused: ${answer.body}`);
  return JSON.parse(answer.body).contract;
}

/** Through the import: the binary form of an export, made up on the way. */
async function fill(port, people, contract, begin, count) {
  const source = {
    getGallery: async () => ({ id: GALLERY, contract, dimensions: DIMENSIONS }),
    *exportRecords() {
      for (let i = begin; i < begin + count; i++) {
        const subjectId = `subject-${i}`;
        const metadata = { team: i % 100, level: i % 3, employee: `e${i}` };
        yield { kind: 'subject', subject: { id: subjectId, metadata } };
        const embedding = people.next();
        yield {
          kind: 'reference',
          reference: { id: `r${i}`, subjectId, metadata: {}, quality: null, imageHash: null, embedding },
        };
      }
    },
  };
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method: 'POST',
    path: `/admin/galleries/${GALLERY}/import`,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/octet-stream' },
  });
  const answered = new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode, body: Buffer.concat(chunks).toString() }),
      );
    });
  });
  await pipeline(Readable.from(exportGallery(source, GALLERY, 'binary')), outgoing);
  const { status, body } = await answered;
  if (status !== 200) throw new Error(`The import was refused: ${body}`);
}
