import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now } from './load.mjs';
import { People, REFERENCES_PER_SUBJECT } from './people.mjs';
import { percentile, sum } from './statistics.mjs';

/*
 * LanceDB beside the index in memory: `measureLance` runs this file as a process of its own, so that neither has the other's
 * memory or threads. By hand: node bench/lance-process.mjs <references> <dimensions>, after a build.
 */

const BATCH = 5000;
const WARM_UP = 5;
const SEARCHES = 50;
const GALLERY = 'bench';
const file = fileURLToPath(import.meta.url);

/**
 * @param references - how many, of a quarter as many subjects.
 * @param dimensions - length of an embedding.
 * @returns milliseconds of one exact search with one probe for 10 subjects, of adding one reference, of deleting one for good
 *   (`p50Ms`, `p99Ms`, `addMs`, `deleteMs`), seconds to load all (`loadSeconds`), and MiB in memory at the end (`memoryMiB`).
 */
export async function measureLance(references, dimensions) {
  const child = fork(file, [String(references), String(dimensions)]);
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`The process that measures LanceDB ended with ${code}.`);
    }),
  ]);
  return message;
}

if (process.argv[1] === file) {
  const [references, dimensions] = process.argv.slice(2).map(Number);
  const result = await measure(references, dimensions);
  if (process.send) process.send(result, () => process.disconnect());
  else console.log(JSON.stringify(result));
}

async function measure(references, dimensions) {
  const { LanceStore } = createRequire(import.meta.url)('../dist/gallery/lance-store.js');
  const folder = await mkdtemp(join(tmpdir(), 'likeness-lance-'));
  const store = await LanceStore.open({ uri: folder });
  try {
    await store.createGallery({
      id: GALLERY,
      contract: 'bench',
      dimensions,
      threshold: null,
      capacity: 2 * references,
      maxReferencesPerSubject: 2 * REFERENCES_PER_SUBJECT,
      enrolmentGate: 'off',
      metadata: {},
    });
    const people = new People(dimensions);
    const loads = [];
    for (let begin = 0; begin < references; begin += BATCH) {
      const count = Math.min(BATCH, references - begin);
      const batch = Array.from({ length: count }, (_, i) => reference(begin + i, people.next()));
      loads.push(
        await timed(async () => {
          const outcomes = await store.addReferences(GALLERY, batch);
          if (!outcomes.every(({ status }) => status === 'added'))
            throw new Error('A reference was refused.');
        }),
      );
    }
    const searches = [];
    for (let i = 0; i < WARM_UP + SEARCHES; i++) {
      const probe = people.next();
      const ms = await timed(async () => {
        const [hits] = await store.search(GALLERY, [probe], { limit: 10 });
        if (hits.length !== 10) throw new Error(`Expected 10 hits but received ${hits.length}.`);
      });
      if (i >= WARM_UP) searches.push(ms);
    }
    const addMs = await timed(() => store.addReferences(GALLERY, [reference(references, people.next())]));
    const deleteMs = await timed(() => store.deleteSubject(GALLERY, 'subject-0'));
    return {
      p50Ms: percentile(searches, 0.5),
      p99Ms: percentile(searches, 0.99),
      addMs,
      deleteMs,
      loadSeconds: sum(loads) / 1000,
      memoryMiB: process.memoryUsage.rss() / 2 ** 20,
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function reference(i, embedding) {
  return {
    id: `reference-${i}`,
    subjectId: `subject-${Math.floor(i / REFERENCES_PER_SUBJECT)}`,
    embedding,
    metadata: {},
    quality: null,
    imageHash: i.toString(16).padStart(64, '0'),
  };
}

async function timed(work) {
  const begin = now();
  await work();
  return now() - begin;
}
