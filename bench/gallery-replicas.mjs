import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { People } from './people.mjs';
import { rootDir } from './service.mjs';
import { percentile } from './statistics.mjs';

const require = createRequire(import.meta.url);
const { JetstreamStore } = require(join(rootDir, 'dist', 'gallery', 'jetstream-store.js'));
const { MemoryStore } = require(join(rootDir, 'dist', 'index.js'));

/** References in the galleries that are searched and read at a start. */
const SIZE = Number(process.env.SIZE ?? 100_000);
const DIMENSIONS = 512;
const SERVERS = [1, 3];
const CALLERS = 16;
const ENROLLMENTS = 3000;
const DELETIONS = 1000;
const BATCH = 100;
const SEARCHES = 200;
const GALLERY = 'bench';
/** Ports of the servers for clients and for each other. */
const [CLIENT_PORT, ROUTE_PORT] = [14_222, 16_222];

/** What changes cost where replicas share galleries, when the others see them, and how long a start takes. */
export default async function galleryReplicas(log) {
  const rows = [];
  for (const count of SERVERS) {
    log(`${count} servers`);
    const servers = startServers(count);
    try {
      rows.push([count, ...(await measure(servers.addresses, log)).map((value) => value.toFixed(1))]);
    } finally {
      await servers.stop();
    }
  }
  return {
    notes: [
      `Two replicas of the jetstream store and the servers (nats-server) on one machine. ${CALLERS} callers enroll one reference of ` +
        `${DIMENSIONS} numbers each, as a new subject, then ${CALLERS} delete. Seen: from the answer until the other replica has it. ` +
        `Search and start: ${SIZE} references; the memory store beside it in the same run.`,
    ],
    columns: [
      'servers',
      'enrollments/s',
      'enroll p50 ms',
      'enroll p99 ms',
      'seen p50 ms',
      'seen p99 ms',
      'delete p50 ms',
      'delete p99 ms',
      'search p50 ms',
      'memory store: search p50 ms',
      'start s',
    ],
    rows,
  };
}

async function measure(servers, log) {
  const open = (i) =>
    JetstreamStore.open({
      nats: { servers: [servers[i % servers.length]], replicas: servers.length },
      key: 'a key of thirty-two characters..',
      threadCount: availableParallelism(),
      precision: 'float32',
    });
  const [store, other] = [await open(0), await open(1)];
  const memory = new MemoryStore({ threadCount: availableParallelism(), precision: 'float32' });
  for (const one of [store, memory]) await one.createGallery(gallery());
  await other.waitFor(store.revision);
  const people = new People(DIMENSIONS);
  let made = 0;
  const next = () => reference(made++, people.next());

  const seen = [];
  const began = performance.now();
  const enrollments = await inParallel(ENROLLMENTS, async () => {
    await store.addReferences(GALLERY, [next()]);
    const { revision } = store;
    const answered = performance.now();
    // Not awaited here: it would keep the caller.
    seen.push(other.waitFor(revision).then(() => performance.now() - answered));
  });
  const enrollmentsPerSecond = ENROLLMENTS / ((performance.now() - began) / 1000);
  const seenMs = await Promise.all(seen);
  let gone = 0;
  const deletions = await inParallel(DELETIONS, () => store.deleteSubject(GALLERY, `subject-${gone++}`));

  log(`fill to ${SIZE}`);
  while ((await store.getGallery(GALLERY)).referenceCount < SIZE) {
    const batch = Array.from({ length: BATCH }, next);
    await Promise.all([store.addReferences(GALLERY, batch), memory.addReferences(GALLERY, batch)]);
  }
  const probes = Array.from({ length: SEARCHES }, () => people.next());
  const [searches, memorySearches] = [[], []];
  for (const probe of probes) {
    searches.push(await timeOf(() => store.search(GALLERY, [probe], { limit: 10 })));
    memorySearches.push(await timeOf(() => memory.search(GALLERY, [probe], { limit: 10 })));
  }
  await Promise.all([store.close(), other.close(), memory.close()]);
  let restarted;
  const startMs = await timeOf(async () => (restarted = await open(0)));
  await restarted.close();
  return [
    enrollmentsPerSecond,
    ...[0.5, 0.99].map((share) => percentile(enrollments, share)),
    ...[0.5, 0.99].map((share) => percentile(seenMs, share)),
    ...[0.5, 0.99].map((share) => percentile(deletions, share)),
    percentile(searches, 0.5),
    percentile(memorySearches, 0.5),
    startMs / 1000,
  ];
}

function startServers(count) {
  const dir = mkdtempSync(join(tmpdir(), 'likeness-bench-nats-'));
  const routes = Array.from({ length: count }, (_, i) => `nats://127.0.0.1:${ROUTE_PORT + i}`).join(', ');
  const children = Array.from({ length: count }, (_, i) => {
    const file = join(dir, `${i}.conf`);
    mkdirSync(join(dir, `${i}`));
    const cluster = `cluster { name: bench, listen: "127.0.0.1:${ROUTE_PORT + i}", routes: [${routes}] }`;
    const lines = [
      `server_name: n${i}`,
      `listen: "127.0.0.1:${CLIENT_PORT + i}"`,
      `jetstream { store_dir: "${join(dir, `${i}`)}" }`,
    ];
    writeFileSync(file, [...lines, ...(count > 1 ? [cluster] : [])].join('\n'));
    return spawn('nats-server', ['-c', file, '-l', join(dir, `${i}.log`)], { stdio: 'ignore' });
  });
  process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
  return {
    addresses: children.map((_child, i) => `nats://127.0.0.1:${CLIENT_PORT + i}`),
    async stop() {
      const ended = children.map((child) => once(child, 'exit'));
      children.forEach((child) => child.kill('SIGKILL'));
      await Promise.all(ended);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** @returns milliseconds of each call. */
async function inParallel(count, call) {
  const times = [];
  let left = count;
  const caller = async () => {
    while (left-- > 0) times.push(await timeOf(call));
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return times;
}

async function timeOf(call) {
  const began = performance.now();
  await call();
  return performance.now() - began;
}

function gallery() {
  return {
    id: GALLERY,
    contract: 'bench',
    dimensions: DIMENSIONS,
    threshold: null,
    targetFmr: null,
    targetFpir: null,
    capacity: 2 * SIZE,
    maxSubjects: null,
    maxReferencesPerSubject: 10,
    enrolmentGate: 'off',
    maxAgeSeconds: null,
    sinceLastMatchSeconds: null,
    matchesSince: null,
    metadata: {},
  };
}

function reference(number, embedding) {
  return {
    id: `reference-${number}`,
    subjectId: `subject-${number}`,
    embedding,
    metadata: {},
    quality: {
      detectionScore: 0.99,
      faceSizePx: 180,
      sharpness: 123.4,
      brightness: 0.5,
      pose: { yaw: 1, pitch: 2, roll: 3 },
    },
    imageHash: number.toString(16).padStart(64, '0'),
  };
}
