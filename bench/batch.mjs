import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir } from './service.mjs';
import { median } from './statistics.mjs';

const require = createRequire(import.meta.url);
const dist = (file) => require(join(rootDir, 'dist', file));

const BATCHES = [1, 2, 4, 8];
const ROUNDS = 15;

/**
 * Whether faces of different requests are worth one run: items per second of the default embedder and of the landmark
 * network by the size of the batch, one thread, sizes in turn within each round.
 */
export default async function batch(log) {
  const { resolveFaceOptions } = dist('face/face.options.js');
  const { loadableModels, readSelection } = dist('face/model-files.js');
  const { openSession } = dist('pipeline/tensor-session.js');
  const options = resolveFaceOptions({ attributeModels: [], prepareModels: false });
  const { store, names } = await readSelection(options, () => options);
  const models = await loadableModels(names, store, options);
  const rows = [];
  for (const { card, path } of models.values()) {
    if (card.input.maxBatch === 1) continue;
    const session = await openSession(readFileSync(path), card, 1);
    const { width, height } = card.input;
    const msPerItem = new Map(BATCHES.map((size) => [size, []]));
    for (let round = -2; round < ROUNDS; round++) {
      for (const size of BATCHES) {
        const pixels = new Uint8Array(size * width * height * 3).map((_, i) => (i * 31) % 251);
        const start = performance.now();
        await session.run(pixels, [size, height, width, 3]);
        // The first rounds warm up.
        if (round >= 0) msPerItem.get(size).push((performance.now() - start) / size);
      }
    }
    await session.release();
    const single = median(msPerItem.get(1));
    for (const size of BATCHES) {
      const ms = median(msPerItem.get(size));
      rows.push([card.name, size, ms.toFixed(2), (single / ms).toFixed(2)]);
    }
    log(`${card.name}: done`);
  }
  return {
    columns: ['model', 'batch', 'ms per item, median', 'rate against single runs'],
    rows,
    notes: [
      `${ROUNDS} rounds, one thread, as a worker runs it. Waiting for a batch to fill would come on top.`,
    ],
  };
}
