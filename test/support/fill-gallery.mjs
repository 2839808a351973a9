import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

/*
 * Child process of the test of a full disk: makes changes until none fits any more, then others, and some more when a
 * line on the standard input says that there is room again. Prints one line of JSON with what came of each, and what is there.
 */

const [, , rootDir, dir] = process.argv;
const require = createRequire(import.meta.url);
const gallery = (name) => require(join(rootDir, 'dist', 'gallery', name));
const { DurableStore } = gallery('stores/durable-store.js');
const { exportGallery } = gallery('backup/export-gallery.js');
const { importGallery } = gallery('backup/import-gallery.js');

const D = 512;
const store = await DurableStore.open({ dir, threadCount: 0, precision: 'float32' });
const settings = { embedder: 'any', threshold: null, capacity: 1e6, maxReferencesPerSubject: 100 };
await store.createGallery({ id: 'full', dimensions: D, ...settings });

const subjects = new Set();
let count = 0;
const reference = () => {
  const id = `s${count++}`;
  const embedding = Float32Array.from({ length: D }, (_, i) => Math.sin(count * (i + 1)));
  return { id, subjectId: id, embedding, metadata: {}, quality: null, imageHash: null, expiresAt: null };
};
const add = async (size) => {
  const batch = Array.from({ length: size }, reference);
  const outcomes = await store.addReferences('full', batch);
  for (const { status, reference } of outcomes) if (status === 'added') subjects.add(reference.subjectId);
};
/** The export of a gallery with one subject, which is imported. */
const source = {
  getGallery: () => store.getGallery('full'),
  async *exportRecords() {
    yield { kind: 'subject', subject: { id: 'imported', metadata: {} } };
    // Unit length: an import looks.
    const embedding = new Float32Array(D).fill(1 / Math.sqrt(D));
    yield { kind: 'reference', reference: { ...reference(), subjectId: 'imported', embedding } };
  },
};
const importOne = async () => {
  await importGallery(store, 'full', exportGallery(source, 'full', 'binary'));
  subjects.add('imported');
};
const outcomes = {};
const attempt = async (name, change) => {
  try {
    await change();
    outcomes[name] = 'made';
  } catch (error) {
    outcomes[name] = error.code ?? error.message;
  }
  return outcomes[name] === 'made';
};

while (await attempt('enroll', () => add(50)));
const [first, second, third] = subjects;
await attempt('enroll again', () => add(50));
if (await attempt('rename', () => store.renameSubject('full', first, 'renamed', { merge: false }))) {
  subjects.delete(first);
  subjects.add('renamed');
}
if (await attempt('delete', () => store.deleteSubject('full', second))) subjects.delete(second);
await attempt('update', () => store.putSubject('full', third, { note: 'x'.repeat(1000) }));
await attempt('create', () => store.createGallery({ id: 'more', dimensions: D, ...settings }));
await attempt('import', importOne);
print();
await new Promise((resolve) => createInterface({ input: process.stdin }).once('line', resolve));
await attempt('enroll with room', () => add(50));
if (!subjects.has('imported')) await attempt('import', importOne);
if (await attempt('delete with room', () => store.deleteSubject('full', third))) subjects.delete(third);
print();
await store.close();

function print() {
  process.stdout.write(`${JSON.stringify({ outcomes, subjects: [...subjects].sort() })}\n`);
}
