import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { People } from './people.mjs';
import { rootDir } from './service.mjs';
import { median, percentile } from './statistics.mjs';

const require = createRequire(import.meta.url);
const { DurableStore, MemoryStore } = require(join(rootDir, 'dist', 'index.js'));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const SIZE = Number(process.env.SIZE ?? 100_000);
const DIMENSIONS = [128, 512];
const BATCH = 1000;
/** Callers that enroll one reference after the other, and how many each of them enrolls. */
const CALLERS = 64;
const PER_CALLER = 50;
const SEARCHES = 100;
const RESTORES = 3;
const GALLERY = 'bench';

/** What changes and a search cost in each store, and how long a restart takes. */
export default async function galleryStores(log) {
  const rows = [];
  for (const dimensions of DIMENSIONS) {
    for (const [name, measure] of [
      ['memory', measureMemory],
      ['durable', (size, length) => measureDurable(size, length, undefined)],
      [
        'durable, encrypted',
        (size, length) => measureDurable(size, length, 'a key of thirty-two characters..'),
      ],
    ]) {
      log(`${name}, ${SIZE} x ${dimensions}`);
      const result = await measure(SIZE, dimensions);
      const number = (value, digits = 0) => (value == null ? '' : value.toFixed(digits));
      rows.push([
        name,
        dimensions,
        number(result.batchesPerSecond),
        number(result.singlesPerSecond),
        number(result.addMs, 2),
        number(result.deleteMs, 2),
        number(result.p50Ms, 2),
        number(result.p99Ms, 2),
        number(result.restoreMs),
        number(result.diskMegabytes),
        number(result.heapBytes),
      ]);
    }
  }
  return {
    columns: [
      'store',
      'dimensions',
      `references/s, ${BATCH.toLocaleString('en-US')} a call`,
      `references/s, ${CALLERS} callers with one each`,
      'add one, ms',
      'delete a subject, ms',
      'one probe p50, ms',
      'one probe p99, ms',
      'restore, ms',
      'disk, MB',
      'heap per reference, bytes',
    ],
    rows,
    notes: [
      `${SIZE.toLocaleString('en-US')} references, four to a subject; every store is asked through the same class, 10 subjects for a probe, ${availableParallelism()} threads. Adding and deleting one: median of changes one after the other, each on the disk where there is one. Restore: from opening the folder to the first search, median of ${RESTORES}. Heap: JavaScript objects beside the vectors.`,
    ],
    failures: [],
  };
}

async function measureMemory(size, dimensions) {
  const store = new MemoryStore({ threadCount: availableParallelism(), precision: 'float32' });
  try {
    return await measureChanges(store, size, dimensions);
  } finally {
    await store.close();
  }
}

async function measureDurable(size, dimensions, key) {
  const dir = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  const open = () =>
    DurableStore.open({ dir, key, threadCount: availableParallelism(), precision: 'float32' });
  let store;
  try {
    store = await open();
    const result = await measureChanges(store, size, dimensions);
    const probe = new People(dimensions).next();
    const restores = [];
    for (let i = 0; i < RESTORES; i++) {
      await store.close();
      restores.push(
        await time(async () => {
          store = await open();
          await store.search(GALLERY, [probe], { limit: 10 });
        }),
      );
    }
    return { ...result, restoreMs: median(restores), diskMegabytes: bytesIn(dir) / 1e6 };
  } finally {
    await store?.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureChanges(store, size, dimensions) {
  await store.createGallery({
    id: GALLERY,
    contract: 'bench',
    dimensions,
    threshold: null,
    capacity: 2 * size,
    maxReferencesPerSubject: 100,
    enrollmentGate: 'off',
    metadata: {},
  });
  const people = new People(dimensions);
  let count = 0;
  const next = () => reference(count++, people.next());
  collectGarbage();
  const heapBefore = process.memoryUsage().heapUsed;
  let batchMs = 0;
  for (let begin = 0; begin < size; begin += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, size - begin) }, next);
    batchMs += await time(async () => requireAdded(await store.addReferences(GALLERY, batch)));
  }
  collectGarbage();
  const heapBytes = (process.memoryUsage().heapUsed - heapBefore) / size;

  // The first one starts the threads.
  await store.search(GALLERY, [people.next()], { limit: 10 });
  const searches = [];
  for (let i = 0; i < SEARCHES; i++) {
    const probe = people.next();
    searches.push(await time(() => store.search(GALLERY, [probe], { limit: 10 })));
  }
  const ones = Array.from({ length: CALLERS }, () => Array.from({ length: PER_CALLER }, next));
  const singlesMs = await time(() =>
    Promise.all(
      ones.map(async (references) => {
        for (const one of references) requireAdded(await store.addReferences(GALLERY, [one]));
      }),
    ),
  );
  const adds = [];
  const deletions = [];
  for (let i = 0; i < PER_CALLER; i++) {
    const one = next();
    adds.push(await time(async () => requireAdded(await store.addReferences(GALLERY, [one]))));
    deletions.push(await time(() => store.deleteSubject(GALLERY, `subject-${i}`)));
  }
  return {
    batchesPerSecond: (1000 * size) / batchMs,
    singlesPerSecond: (1000 * CALLERS * PER_CALLER) / singlesMs,
    addMs: median(adds),
    deleteMs: median(deletions),
    p50Ms: median(searches),
    p99Ms: percentile(searches, 0.99),
    heapBytes,
  };
}

function reference(i, embedding) {
  return {
    id: `0d9c7a52-6a1d-4b6e-9d55-${String(i).padStart(12, '0')}`,
    subjectId: `subject-${Math.floor(i / 4)}`,
    embedding,
    metadata: {},
    quality: {
      detectionScore: 0.98,
      faceSizePx: 120,
      sharpness: 412.5,
      brightness: 0.51,
      pose: { yaw: 3.5, pitch: -2.5, roll: 1.5 },
    },
    imageHash: i.toString(16).padStart(64, '0'),
  };
}

function requireAdded(outcomes) {
  if (!outcomes.every(({ status }) => status === 'added')) throw new Error('A reference was refused.');
}

function bytesIn(dir) {
  return readdirSync(dir, { recursive: true }).reduce((sum, file) => sum + statSync(join(dir, file)).size, 0);
}

async function time(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
