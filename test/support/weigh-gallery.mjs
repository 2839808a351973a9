import { createRequire } from 'node:module';
import { join } from 'node:path';

/*
 * Child process of the test of what entries take: a process whose heap holds nothing else. Prints the bytes of the heap per
 * subject with one reference, measured and as the limits count them.
 */

const [, , rootDir] = process.argv;
const require = createRequire(import.meta.url);
const { MemoryStore } = require(join(rootDir, 'dist', 'gallery', 'stores', 'memory-store.js'));

const [count, perCall] = [20_000, 500];
const store = new MemoryStore({ threadCount: 0, precision: 'float32' });
await store.createGallery({ id: 'a', dimensions: 8, capacity: count, maxReferencesPerSubject: 1 });

async function enroll(from) {
  const numbers = Array.from({ length: perCall }, (_, i) => from + i);
  await Promise.all(
    numbers.map((i) => store.putSubject('a', `subject-${i}`, { team: i % 100, name: `name-${i}` })),
  );
  // No two numbers or texts are one object.
  const references = numbers.map((i) => ({
    id: `0d9c7a52-6a1d-4b6e-9d55-${String(i).padStart(12, '0')}`,
    subjectId: `subject-${i}`,
    embedding: Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0),
    metadata: { embeddingNorm: i + 0.1 },
    quality: {
      detectionScore: 1 / (i + 2),
      faceSizePx: i + 0.2,
      sharpness: i + 0.3,
      brightness: 1 / (i + 3),
      pose: { yaw: i + 0.4, pitch: i + 0.5, roll: i + 0.6 },
    },
    imageHash: i.toString(16).padStart(64, '0'),
  }));
  await store.addReferences('a', references);
}

const heapBytes = () => {
  globalThis.gc();
  return process.memoryUsage().heapUsed;
};
const countedBytes = () => store.table.byId.get('a').state.planned.bytes.heap;

// Compiled code comes with the first ones.
await enroll(0);
const before = { measured: heapBytes(), counted: countedBytes() };
for (let from = perCall; from < count; from += perCall) await enroll(from);
const perSubject = (after, earlier) => (after - earlier) / (count - perCall);
console.log(
  JSON.stringify({
    measured: perSubject(heapBytes(), before.measured),
    counted: perSubject(countedBytes(), before.counted),
  }),
);
await store.close();
