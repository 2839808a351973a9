import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

/*
 * A replica of the jetstream store as a process. Started with its options as JSON; says `{ ready: true }`. Then it answers
 * each line `{ id, method, args }` by `{ id, answer, revision }` or `{ id, code }`. Embeddings go as lists of numbers.
 */
const require = createRequire(import.meta.url);
const { JetstreamStore } = require('../../dist/gallery/stores/jetstream-store.js');

const store = await JetstreamStore.open({
  threadCount: 0,
  precision: 'float32',
  onNotice: ({ message }) => process.stderr.write(`${message}\n`),
  ...JSON.parse(process.argv[2]),
});

const methods = {
  createGallery: (gallery) => store.createGallery(gallery),
  add: (galleryId, subjectId, embedding) =>
    store.addReferences(galleryId, [
      {
        id: `r-${subjectId}`,
        subjectId,
        embedding: Float32Array.from(embedding),
        metadata: {},
        quality: null,
        imageHash: null,
      },
    ]),
  remove: (galleryId, subjectId) => store.deleteSubject(galleryId, subjectId),
  search: (galleryId, probe) => store.search(galleryId, [Float32Array.from(probe)], { limit: 3 }),
  waitFor: (revision, timeoutMs) => store.waitFor(revision, timeoutMs),
  async subjects(galleryId) {
    const ids = [];
    for await (const { kind, subject } of store.exportRecords(galleryId))
      if (kind === 'subject') ids.push(subject.id);
    return ids.sort();
  },
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, args } = JSON.parse(line);
  try {
    const answer = await methods[method](...args);
    say({ id, answer, revision: store.revision });
  } catch (error) {
    if (error.code === 'GALLERY_STORE_STOPPED')
      process.stderr.write(`A replica stopped: ${error.cause?.stack}\n`);
    say({ id, code: error.code ?? String(error) });
  }
});
say({ ready: true });
