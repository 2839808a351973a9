import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DurableStore } from '../../src/gallery/stores/durable-store';
import { exported, newGallery } from '../support/gallery-store-contract';
import { unit } from '../support/random-unit';
import { SEED, seededRange } from '../support/seeded-random';
import { rootDir } from '../support/paths';
import { tempFolders } from '../support/temp-folder';

/** Kills in the short form that runs everywhere; ROUNDS sets another number. */
const ROUNDS = Number(process.env.ROUNDS ?? 5);

/** Far more than a round takes: a start, some hundred ms of changes, and a look at what is there. */
const ROUND_LIMIT_MS = 10_000;

interface Line {
  what: 'added' | 'updated' | 'deleting' | 'deleted';
  id: string;
  version?: number;
}

const tempFolder = tempFolders();

describe(`a gallery whose process is killed (SEED=${SEED})`, () => {
  it(
    'has every change that was acknowledged, and nothing that was deleted',
    async () => {
      const dir = tempFolder();
      const open = () =>
        DurableStore.open({
          dir,
          threadCount: 0,
          precision: 'float32',
          onNotice: (notice) => {
            throw new Error(notice.message);
          },
        });
      let store = await open();
      await store.createGallery(newGallery({ id: 'crash', capacity: 1e6 }));
      await store.close();

      const range = seededRange(SEED);
      /** What must be there, at least in this version. */
      const kept = new Map<string, number>();
      const deleted = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const lines = await changeAndKill(dir, `round${round}`, range(0, 300));
        const doubtful = new Set<string>();
        for (const { what, id, version } of lines) {
          if (what === 'added') kept.set(id, 0);
          if (what === 'updated') kept.set(id, version!);
          if (what === 'deleting') doubtful.add(id);
          if (what === 'deleted') deleted.add(id);
        }
        for (const id of doubtful) kept.delete(id);

        store = await open();
        const found = new Map<string, number>();
        for (const record of await exported(store, 'crash')) {
          if (record.kind === 'subject') continue;
          const { id, subjectId, embedding, metadata } = record.reference;
          expect(subjectId).toBe(id);
          expect(Array.from(embedding)).toEqual(Array.from(embeddingOf(id)));
          found.set(id, metadata.version as number);
        }
        await store.close();
        const lost = [...kept].filter(([id, version]) => !(found.get(id)! >= version));
        expect({ round, lost }).toEqual({ round, lost: [] });
        expect([...deleted].filter((id) => found.has(id))).toEqual([]);
        for (const id of doubtful) if (!found.has(id)) deleted.add(id);
        for (const [id, version] of found) kept.set(id, version);
      }
      expect(kept.size).toBeGreaterThan(0);
      expect(deleted.size).toBeGreaterThan(0);
    },
    60_000 + ROUNDS * ROUND_LIMIT_MS,
  );
});

/** Lets a process change the gallery, and kills it so many milliseconds after the first change. */
async function changeAndKill(dir: string, prefix: string, afterMs: number): Promise<Line[]> {
  const script = join(rootDir, 'test', 'support', 'change-gallery.mjs');
  const child = spawn(process.execPath, [script, dir, prefix], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  const isFirst = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)]);
  if (isFirst) setTimeout(() => child.kill('SIGKILL'), afterMs);
  const [, signal] = await ended;
  expect(signal).toBe('SIGKILL');
  // The last line may be cut off.
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** As the process that changes makes them. */
function embeddingOf(name: string): Float32Array {
  const bytes = createHash('sha256').update(name).digest();
  return unit(Array.from({ length: 8 }, (_, i) => bytes[i] - 127.5));
}
