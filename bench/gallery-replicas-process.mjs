import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { People } from './people.mjs';
import { rootDir } from './service.mjs';

/*
 * A replica of the jetstream store in a process of its own, for the scenario gallery-replicas. Takes { work, ...options } over
 * the channel of its parent, one after the other or at once, and answers each with what the function of that name gives.
 */

const require = createRequire(import.meta.url);
const { JetstreamStore } = require(join(rootDir, 'dist', 'gallery', 'stores', 'jetstream-store.js'));
const { MemoryStore } = require(join(rootDir, 'dist', 'gallery', 'stores', 'memory-store.js'));

const GALLERY = 'bench';
const SETTINGS = {
  id: GALLERY,
  contract: 'bench',
  threshold: null,
  targetFmr: null,
  targetFpir: null,
  capacity: 10_000_000,
  maxSubjects: null,
  maxReferencesPerSubject: 100,
  enrollmentGate: 'off',
  maxAgeSeconds: null,
  sinceLastMatchSeconds: null,
  matchesSince: null,
  metadata: {},
};
const BATCH = 1000;
const SCAN = { threadCount: availableParallelism(), precision: 'float32' };
/** Between two looks for a subject of another replica. */
const LOOK_MS = 1;

let store;
let memory;

const works = {
  /** @returns milliseconds until the store was there. */
  async open({ servers, replicas }) {
    return time(async () => {
      store = await JetstreamStore.open({ nats: { servers, replicas }, key: 'k'.repeat(32), ...SCAN });
    });
  },

  /** Puts the same references into this store and into one in memory. @returns milliseconds that this one took. */
  async fill({ size, dimensions }) {
    memory = new MemoryStore({ ...SCAN });
    const people = new People(dimensions);
    const stores = [store, memory];
    for (const one of stores) await one.createGallery({ ...SETTINGS, dimensions });
    let ms = 0;
    for (let begin = 0; begin < size; begin += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, size - begin) }, (_, i) =>
        reference(`subject-${(begin + i) >> 2}`, people.next()),
      );
      ms += await time(() => added(store, batch));
      await added(memory, batch);
    }
    return ms;
  },

  /**
   * Clients that enroll one new subject after the other: without a pause, or `perSecond` of them in all at most.
   *
   * @returns how many they enrolled.
   */
  async enroll({ name, clients, seconds, perSecond = Infinity, dimensions }) {
    const people = new People(dimensions);
    const start = performance.now();
    let count = 0;
    const enrollAll = async () => {
      for (;;) {
        const dueMs = (1000 * count) / perSecond;
        if (Math.max(dueMs, performance.now() - start) >= 1000 * seconds) return;
        const id = `${name}-${count++}`;
        await sleep(Math.max(0, start + dueMs - performance.now()));
        await added(store, [reference(id, people.next())]);
      }
    };
    await Promise.all(Array.from({ length: clients }, enrollAll));
    return count;
  },

  /** Enrolls one subject now and then. @returns of each when it was asked for, and when it was answered. */
  async probe({ name, count, everyMs, dimensions }) {
    const people = new People(dimensions);
    const times = [];
    for (let i = 0; i < count; i++) {
      const asked = now();
      await added(store, [reference(`${name}-${i}`, people.next())]);
      times.push({ asked, answered: now() });
      await sleep(everyMs);
    }
    return times;
  },

  /** Looks for the subjects of `probe`, which another replica enrolls. @returns when each was there. */
  async watch({ name, count }) {
    const times = [];
    for (let i = 0; i < count; i++) {
      while (!(await store.getSubject(GALLERY, `${name}-${i}`).catch(() => null))) await sleep(LOOK_MS);
      times.push(now());
    }
    return times;
  },

  /** @returns milliseconds of each deletion of a subject with its references, one after the other. */
  async remove({ from, count }) {
    const times = [];
    for (let i = from; i < from + count; i++)
      times.push(await time(() => store.deleteSubject(GALLERY, `subject-${i}`)));
    return times;
  },

  /** The same probe in both stores, in turn. @returns milliseconds of each search. */
  async search({ count, dimensions }) {
    const people = new People(dimensions);
    const times = { replica: [], memory: [] };
    const searchIn = (one, probe) => time(() => one.search(GALLERY, [probe], { limit: 10 }));
    // The first ones start the threads.
    for (const one of [store, memory]) for (let i = 0; i < 5; i++) await searchIn(one, people.next());
    for (let i = 0; i < count; i++) {
      const probe = people.next();
      for (const kind of i % 2 ? ['replica', 'memory'] : ['memory', 'replica'])
        times[kind].push(await searchIn(kind === 'memory' ? memory : store, probe));
    }
    return times;
  },

  revision: async () => store.revision,

  async counts({ revision }) {
    if (!(await store.waitFor(revision, 60_000))) throw new Error('The replica did not catch up.');
    const { subjectCount, referenceCount } = await store.getGallery(GALLERY);
    return { subjectCount, referenceCount };
  },

  async close() {
    await store.close();
    await memory?.close();
    process.disconnect();
  },
};

process.on('message', ({ call, work, ...options }) => {
  works[work](options).then(
    (result) => process.connected && process.send({ call, result }),
    (error) => process.send({ call, error: `${work}: ${error.stack}` }),
  );
});

function reference(subjectId, embedding) {
  return {
    id: crypto.randomUUID(),
    subjectId,
    embedding,
    metadata: {},
    quality: {
      detectionScore: 0.98,
      faceSizePx: 120,
      sharpness: 412.5,
      brightness: 0.51,
      pose: { yaw: 3.5, pitch: -2.5, roll: 1.5 },
    },
    imageHash: null,
  };
}

async function added(one, references) {
  for (const outcome of await one.addReferences(GALLERY, references))
    if (outcome.status !== 'added') throw outcome;
}

/** Milliseconds since 1970, comparable among processes. */
function now() {
  return performance.timeOrigin + performance.now();
}

async function time(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
