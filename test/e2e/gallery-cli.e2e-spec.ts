import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { portrait } from '../support/portrait';
import { startCli } from '../support/start-cli';
import { type RunningService, startService } from '../support/start-service';

const ADMIN_KEY = 'a-key-of-the-test-suite';
const sample = (number: number) =>
  join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${number}.jpg`);

describe('galleries on the command line, with real photos', () => {
  let service: RunningService;
  let folder: string;
  let people: string;

  beforeAll(async () => {
    service = await startService({ ADMIN_KEY, FACE_ATTRIBUTE_MODELS: '', FACE_WORKER_COUNT: '1' });
    folder = await mkdtemp(join(tmpdir(), 'likeness-gallery-'));
    people = join(folder, 'people');
    for (const [person, photo] of [
      ['Ada L.', 1],
      ['grace', 2],
      ['grace', 6],
    ] as const) {
      await mkdir(join(people, person), { recursive: true });
      await cp(sample(photo), join(people, person, `sample${photo}.jpg`));
    }
    await mkdir(join(people, 'blank'));
    const blank = portrait().resize(64, 64).blur(20).jpeg();
    await writeFile(join(people, 'blank', 'blank.jpg'), await blank.toBuffer());
    await writeFile(join(people, 'blank', 'broken.png'), 'no picture');
    await writeFile(join(people, 'blank', 'notes.txt'), 'no picture');
    await writeFile(join(people, 'stray.jpg'), 'no picture');
  });
  afterAll(async () => {
    await service?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const likeness = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    startCli(args, { ADMIN_KEY, LIKENESS_SERVER: service.url, ...env }).ended;
  const importPeople = (...args: string[]) =>
    likeness(['gallery', 'import', people, '--gallery', 'staff', '--face-selection', 'best', ...args]);
  const gallery = async () =>
    (await (await fetch(`${service.url}/v1/galleries/staff`)).json()) as Record<string, number>;

  it('imports a folder per person, says what is refused and why, and adds nothing twice', async () => {
    const first = await importPeople('--batch', '2');
    expect(first.stdout).toBe('staff: 3 of 5 photos added, 0 already present, 2 rejected\n');
    expect(first.stderr).toMatch(/^(FACE_NOT_DETECTED|REFERENCE_REJECTED): .*blank\.jpg\)$/m);
    expect(first.stderr).toMatch(/^IMAGE_UNSUPPORTED: .*broken\.png\)$/m);
    expect(first.stderr).toMatch(/^skipped: .*notes\.txt\nskipped: .*stray\.jpg$/m);
    expect(first.stderr).toContain('photos 5 of 5\n');
    expect(first.code).toBe(2);
    expect(await gallery()).toMatchObject({ subjectCount: 2, referenceCount: 3 });

    // In other batches, so that their keys do not tell: the images do.
    for (const batch of ['2', '16']) {
      const again = await importPeople('--batch', batch, '--json');
      expect(JSON.parse(again.stdout)).toMatchObject({ gallery: 'staff', photos: 5, added: 0, present: 3 });
    }
    expect(await gallery()).toMatchObject({ subjectCount: 2, referenceCount: 3 });
  });

  it('identifies: exit code 0 where somebody is known, 1 where nobody is', async () => {
    const known = await likeness(['identify', sample(1), '--gallery', 'staff']);
    expect([known.code, known.stdout]).toEqual([
      0,
      expect.stringMatching(/^face at \(\d+, \d+\): 1\. Ada L\., cosine distance 0\.0000\n$/),
    ]);
    const all = ['--face-selection', 'all', '--json', '--threshold', '0.01'];
    const { code, stdout } = await likeness(['identify', sample(2), '--gallery', 'staff', ...all]);
    const { faces, threshold } = JSON.parse(stdout);
    expect([code, threshold, faces.length > 1]).toEqual([0, 0.01, true]);
    const unknown = await likeness(['identify', sample(1), '--gallery', 'staff', '--filter', '{"a":1}']);
    expect([unknown.code, unknown.stdout]).toEqual([1, expect.stringContaining('unknown')]);
  });

  it.each(['jsonl', 'binary'])('exports and restores a gallery (%s)', async (format) => {
    const file = join(folder, `staff.${format}`);
    const written = await likeness(['gallery', 'export', file, '--gallery', 'staff', '--format', format]);
    expect([written.code, written.stdout]).toEqual([0, `staff: exported to ${file}\n`]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await fetch(`${service.url}/v1/galleries/staff`, { method: 'DELETE' });
    const nowhere = await likeness(['gallery', 'restore', file, '--gallery', 'staff']);
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringMatching(/^GALLERY_NOT_FOUND: /)]);
    await fetch(`${service.url}/v1/galleries`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"staff"}',
    });
    const restored = await likeness(['gallery', 'restore', file, '--gallery', 'staff']);
    expect([restored.code, restored.stdout]).toEqual([
      0,
      'staff: 2 subjects, 3 references added, 0 already present\n',
    ]);
    expect(await gallery()).toMatchObject({ subjectCount: 2, referenceCount: 3 });
  });

  it('leaves no file of an export that is refused', async () => {
    const args = ['gallery', 'export', join(folder, 'none.jsonl')];
    const noKey = await likeness(args, { ADMIN_KEY: '' });
    const unknown = await likeness([...args, '--gallery', 'nowhere']);
    expect([noKey.stderr, unknown.stderr]).toEqual([
      expect.stringMatching(/^UNAUTHORIZED: /),
      expect.stringMatching(/^GALLERY_NOT_FOUND: /),
    ]);
    expect((await readdir(folder)).filter((name) => name.startsWith('none'))).toEqual([]);
  });

  it.each([
    ['a missing photo', ['identify', 'nowhere.jpg'], /^IMAGE_MISSING: .*"nowhere\.jpg" given as probe/],
    ['a photo that is none', ['identify', __filename], /^IMAGE_UNSUPPORTED: .*gallery-cli.*\)$/m],
    ['an unknown gallery', ['identify', sample(1), '--gallery', 'nowhere'], /^GALLERY_NOT_FOUND: [^(]*$/m],
    ['a filter that is no JSON', ['identify', sample(1), '--filter', 'a=1'], /^PARAMETER_INVALID: .*'a=1'/],
    ['a missing folder', ['gallery', 'import', 'nowhere'], /^IMAGE_MISSING: The folder "nowhere"/],
    ['a missing export', ['gallery', 'restore', 'nowhere'], /^PARAMETER_INVALID: The file "nowhere"/],
    ['an unknown gate', ['gallery', 'import', '.', '--gate', 'lax'], /^PARAMETER_INVALID: .*'lax'/],
    ['a wrong gallery id', ['gallery', 'import', tmpdir(), '--gallery', '-'], /^PARAMETER_INVALID: /],
  ])('exits with 2 and one line for %s', async (_name, args, line) => {
    const { code, stdout, stderr } = await likeness(args);
    expect(stderr).toMatch(line);
    expect([code, stdout, stderr.trimEnd().split('\n').length]).toEqual([2, '', 1]);
  });

  it('finds in a durable folder what was acknowledged before the service was killed', async () => {
    const env = {
      FACE_ATTRIBUTE_MODELS: '',
      FACE_WORKER_COUNT: '1',
      FACE_GALLERY_STORE: 'durable',
      FACE_GALLERY_DIR: join(folder, 'durable'),
      FACE_GALLERY_KEY: 'a key of thirty-two characters!!',
    };
    const first = await startService(env);
    const server = { LIKENESS_SERVER: first.url };
    const imported = await likeness(['gallery', 'import', people, '--gate', 'off'], server);
    expect(imported.stdout).toMatch(/^default: [34] of 5 photos added/);
    await fetch(`${first.url}/v1/galleries/default/subjects/grace`, { method: 'DELETE' });
    process.kill(first.pid, 'SIGKILL');
    await first.ended();
    const second = await startService(env);
    const known = await likeness(['identify', sample(1)], { LIKENESS_SERVER: second.url });
    const deleted = await likeness(['identify', sample(2)], { LIKENESS_SERVER: second.url });
    await second.stop();
    expect([known.code, known.stdout]).toEqual([0, expect.stringContaining(': 1. Ada L.,')]);
    expect(deleted.code).toBe(1);
  });

  it('says that no service answers', async () => {
    const { code, stderr } = await likeness(['identify', sample(1)], {
      LIKENESS_SERVER: 'http://127.0.0.1:9',
    });
    expect([code, stderr]).toEqual([
      2,
      'NOT_READY: No service answers at http://127.0.0.1:9. Cause: fetch failed Cause: bad port\n',
    ]);
  });
});
