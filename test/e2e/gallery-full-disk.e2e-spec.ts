import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { DurableStore } from '../../src/gallery/stores/durable-store';
import { exported } from '../support/gallery-store-contract';
import { rootDir } from '../support/paths';
import { tempFolders } from '../support/temp-folder';

interface Report {
  outcomes: Record<string, string>;
  subjects: string[];
}

/** Bytes that a file of the gallery may have: as on a full disk, a write beyond them fails. */
const MAX_FILE_BYTES = 8_000_000;

const tempFolder = tempFolders();
const hasPrlimit = process.platform === 'linux';

(hasPrlimit ? describe : describe.skip)('a gallery on a full disk', () => {
  let running: ChildProcess | undefined;
  afterEach(() => running?.kill('SIGKILL'));

  it('refuses changes with GALLERY_STORE_FAILED, lives, and goes on when there is room', async () => {
    const dir = tempFolder();
    const script = join(rootDir, 'test', 'support', 'fill-gallery.mjs');
    const limit = `--fsize=${MAX_FILE_BYTES}:unlimited`;
    const child = spawn('prlimit', [limit, process.execPath, script, rootDir, dir], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running = child;
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaints += chunk));
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value as string) as Report;

    const full = await next();
    expect(full.outcomes).toMatchObject({
      enroll: 'GALLERY_STORE_FAILED',
      'enroll again': 'GALLERY_STORE_FAILED',
    });
    // Small changes may find room in what was freed.
    for (const outcome of Object.values(full.outcomes))
      expect(['made', 'GALLERY_STORE_FAILED']).toContain(outcome);
    expect(full.subjects.length).toBeGreaterThan(1000);

    execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:unlimited']);
    child.stdin.end('there is room\n');
    const { outcomes, subjects } = await next();
    expect(outcomes).toMatchObject({
      'enroll with room': 'made',
      'delete with room': 'made',
      import: 'made',
    });
    expect(subjects.length).toBeGreaterThan(full.subjects.length);
    expect(await ended).toEqual([0, null]);
    expect(complaints).not.toMatch(/unhandled/i);

    const store = await DurableStore.open({
      dir,
      threadCount: 0,
      precision: 'float32',
      onNotice: (notice) => {
        throw new Error(notice.message);
      },
    });
    const records = await exported(store, 'full');
    await store.close();
    const kept = records.flatMap((record) => (record.kind === 'subject' ? [record.subject.id] : []));
    expect(kept.sort()).toEqual(subjects);
    expect(records).toHaveLength(2 * subjects.length);
  }, 60_000);
});
