import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';

/*
 * Changes the gallery of a folder until it is killed: adds, updates and deletes subjects, many at the same time, and says
 * on standard output what it is about to take away and what was acknowledged, one JSON line each.
 */
const [dir, prefix] = process.argv.slice(2);
const { DurableStore } = createRequire(import.meta.url)('../../dist/gallery/stores/durable-store.js');

/** Float32Array [8], unit length, that belongs to the name. */
function embeddingOf(name) {
  const bytes = createHash('sha256').update(name).digest();
  const values = Array.from({ length: 8 }, (_, i) => bytes[i] - 127.5);
  const norm = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / norm);
}

// Not process.stdout, which keeps back what a reader is slow to take: a process that is killed takes that with it.
const say = (what, id, version) => writeSync(1, `${JSON.stringify({ what, id, version })}\n`);

const store = await DurableStore.open({ dir, threadCount: 0, precision: 'float32' });
let count = 0;
async function change() {
  for (;;) {
    const id = `${prefix}-${count++}`;
    const reference = { id, subjectId: id, embedding: embeddingOf(id), metadata: { version: 0 } };
    await store.addReferences('crash', [{ ...reference, quality: null, imageHash: null }]);
    say('added', id);
    const versions = count % 3;
    for (let version = 1; version <= versions; version++) {
      await store.updateReference('crash', id, id, { version });
      say('updated', id, version);
    }
    if (count % 2 === 0) continue;
    say('deleting', id);
    await store.deleteSubject('crash', id);
    say('deleted', id);
  }
}
await Promise.all(Array.from({ length: 20 }, change));
