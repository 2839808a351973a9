import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ModelCard } from './model-card';
import {
  findPrepared,
  PREPARED_DIR,
  preparedKey,
  publishPrepared,
  PREPARED_GRAPH,
  PREPARED_WEIGHTS,
  removeAbandoned,
  thisMachine,
} from './prepared-model';

const card = { name: 'mine', sha256: 'a'.repeat(64) } as ModelCard;
const write =
  (weights = 'weights') =>
  async (folder: string): Promise<void> => {
    writeFileSync(join(folder, PREPARED_GRAPH), 'graph');
    writeFileSync(join(folder, PREPARED_WEIGHTS), weights);
  };

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'likeness-prepared-'))));
afterEach(() => rmSync(dir, { recursive: true }));
const entries = () => readdirSync(join(dir, PREPARED_DIR));

describe(preparedKey.name, () => {
  const machine = { runtime: '1.30.0', platform: 'linux', arch: 'x64', cpu: 'avx avx2' };

  it('is 16 hexadecimal digits, and the same each time', () => {
    expect(preparedKey(card)).toMatch(/^[0-9a-f]{16}$/);
    expect(preparedKey(card)).toBe(preparedKey({ ...card }));
    expect(preparedKey(card, machine)).toBe(preparedKey(card, { ...machine }));
  });

  it.each([
    ['the weights', { ...card, sha256: 'b'.repeat(64) }, machine],
    ['the version of the runtime', card, { ...machine, runtime: '1.30.1' }],
    ['the system', card, { ...machine, platform: 'darwin' }],
    ['the architecture', card, { ...machine, arch: 'arm64' }],
    ['the processor', card, { ...machine, cpu: 'avx avx2 avx512f' }],
  ])('changes with %s', (_, other, on) => {
    expect(preparedKey(other, on)).not.toBe(preparedKey(card, machine));
  });

  it('is that of this machine where nothing else is said', () => {
    expect(preparedKey(card)).toBe(preparedKey(card, thisMachine()));
    const { version } = JSON.parse(readFileSync(require.resolve('onnxruntime-node/package.json'), 'utf8'));
    const { runtime, platform, arch, cpu } = thisMachine();
    expect([runtime, platform, arch]).toEqual([version, process.platform, process.arch]);
    expect(cpu).not.toBe('');
    expect(cpu.split(' ')).toEqual(existsSync('/proc/cpuinfo') ? cpu.split(' ').sort() : expect.anything());
  });
});

describe(publishPrepared.name, () => {
  it('makes a folder of the name and the key, with what was written and a manifest', async () => {
    const path = await publishPrepared(join(dir, 'new'), card, write());
    expect(path).toBe(join(dir, 'new', PREPARED_DIR, `mine-${preparedKey(card)}`, PREPARED_GRAPH));
    expect(readdirSync(dirname(path)).sort()).toEqual(['manifest.json', PREPARED_WEIGHTS, PREPARED_GRAPH]);
    expect(readdirSync(join(dir, 'new', PREPARED_DIR))).toHaveLength(1);
    expect(await findPrepared(join(dir, 'new'), card)).toBe(path);
  });

  it('lets the first of many win, and leaves nothing of the others', async () => {
    const racers = Array.from({ length: 8 }, (_, i) => publishPrepared(dir, card, write(`weights ${i}`)));
    const paths = new Set(await Promise.all(racers));
    expect(paths.size).toBe(1);
    expect(entries()).toEqual([`mine-${preparedKey(card)}`]);
    expect(await findPrepared(dir, card)).toBe([...paths][0]);
    const winner = readFileSync(join(dirname([...paths][0]), PREPARED_WEIGHTS), 'utf8');
    await publishPrepared(dir, card, write('too late'));
    expect(readFileSync(join(dirname([...paths][0]), PREPARED_WEIGHTS), 'utf8')).toBe(winner);
  });

  it('takes the place of a damaged one', async () => {
    const path = await publishPrepared(dir, card, write('old'));
    appendFileSync(path, '!');
    expect(await publishPrepared(dir, card, write('new'))).toBe(path);
    expect(readFileSync(join(dirname(path), PREPARED_WEIGHTS), 'utf8')).toBe('new');
    expect(entries()).toHaveLength(1);
  });

  it('leaves nothing behind when making fails', async () => {
    const failing = publishPrepared(dir, card, async (folder) => {
      await write()(folder);
      throw new Error('no space');
    });
    await expect(failing).rejects.toThrow('no space');
    expect(entries()).toEqual([]);
  });

  it('fails where the folder cannot be made, and finds nothing there', async () => {
    writeFileSync(join(dir, PREPARED_DIR), 'in the way');
    await expect(publishPrepared(dir, card, write())).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(await findPrepared(dir, card)).toBeNull();
    expect(readdirSync(dir)).toEqual([PREPARED_DIR]);
  });
});

describe(findPrepared.name, () => {
  it('finds nothing where nothing is, and makes nothing', async () => {
    expect(await findPrepared(dir, card)).toBeNull();
    expect(await findPrepared(join(dir, 'nowhere'), card)).toBeNull();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('does not take the model of another card', async () => {
    await publishPrepared(dir, card, write());
    expect(await findPrepared(dir, { ...card, sha256: 'b'.repeat(64) })).toBeNull();
    expect(await findPrepared(dir, { ...card, name: 'other' })).toBeNull();
    expect(entries()).toHaveLength(1);
  });

  it.each<[what: string, damage: (folder: string) => void]>([
    ['changed weights', (folder) => writeFileSync(join(folder, PREPARED_WEIGHTS), 'weightz')],
    ['weights cut short', (folder) => writeFileSync(join(folder, PREPARED_WEIGHTS), 'weight')],
    ['no weights', (folder) => rmSync(join(folder, PREPARED_WEIGHTS))],
    ['a changed graph', (folder) => appendFileSync(join(folder, PREPARED_GRAPH), ' ')],
    ['no graph', (folder) => rmSync(join(folder, PREPARED_GRAPH))],
    ['no manifest', (folder) => rmSync(join(folder, 'manifest.json'))],
    ['a manifest that is no JSON', (folder) => writeFileSync(join(folder, 'manifest.json'), '{"files":')],
    ['an empty manifest', (folder) => writeFileSync(join(folder, 'manifest.json'), '{}')],
    ['a manifest of null', (folder) => writeFileSync(join(folder, 'manifest.json'), 'null')],
    ['a manifest of no files', (folder) => writeFileSync(join(folder, 'manifest.json'), '{"files":{}}')],
    ['a file too many', (folder) => writeFileSync(join(folder, 'more'), '')],
    [
      'a folder for a file',
      (folder) => {
        rmSync(join(folder, PREPARED_WEIGHTS));
        mkdirSync(join(folder, PREPARED_WEIGHTS));
      },
    ],
  ])('refuses and removes one with %s', async (_, damage) => {
    const path = await publishPrepared(dir, card, write());
    damage(dirname(path));
    expect(await findPrepared(dir, card)).toBeNull();
    expect(entries()).toEqual([]);
    expect(await publishPrepared(dir, card, write())).toBe(path);
    expect(await findPrepared(dir, card)).toBe(path);
  });

  it('refuses a manifest whose hash is wrong in one digit', async () => {
    const path = await publishPrepared(dir, card, write());
    const manifest = join(dirname(path), 'manifest.json');
    const { files } = JSON.parse(readFileSync(manifest, 'utf8'));
    files[PREPARED_WEIGHTS] = files[PREPARED_WEIGHTS].replace(/^./, (digit: string) =>
      digit === '0' ? '1' : '0',
    );
    writeFileSync(manifest, JSON.stringify({ files }));
    expect(await findPrepared(dir, card)).toBeNull();
    expect(entries()).toEqual([]);
  });
});

describe(removeAbandoned.name, () => {
  const folder = (name: string) => {
    const path = join(dir, PREPARED_DIR, name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, PREPARED_WEIGHTS), 'weights');
    return path;
  };
  /** A process that has exited. */
  const deadPid = spawnSync(process.execPath, ['-e', '']).pid;
  const name = (pid: number, host: string) => `.mine.${pid}-0123456789ab@${host}.tmp`;

  it('removes what processes of this host left when they ended, and nothing else', async () => {
    const model = await publishPrepared(dir, card, write());
    const dead = folder(name(deadPid, hostname()));
    const alive = folder(name(process.ppid, hostname()));
    const elsewhere = folder(name(deadPid, 'another.host'));
    // From an earlier process with the same id by chance: this process knows its own folders.
    const before = folder(name(process.pid, hostname()));
    await removeAbandoned(dir);
    expect([model, dead, alive, elsewhere, before].map(existsSync)).toEqual([true, false, true, true, false]);
  });

  it('removes what nobody touched for an hour', async () => {
    const [old, young] = ['old.host', 'young.host'].map((host) => folder(name(deadPid, host)));
    const at = (minutesAgo: number) => new Date(Date.now() - minutesAgo * 60_000);
    utimesSync(old, at(61), at(61));
    utimesSync(young, at(59), at(59));
    await removeAbandoned(dir);
    expect([old, young].map(existsSync)).toEqual([false, true]);
  });

  it('does so whenever a model is prepared, and lets those at work finish', async () => {
    const dead = folder(name(deadPid, hostname()));
    const path = await publishPrepared(dir, card, async (own) => {
      expect(existsSync(dead)).toBe(false);
      await removeAbandoned(dir);
      await write()(own);
    });
    expect(existsSync(path)).toBe(true);
    expect(entries()).toHaveLength(1);
  });

  it('does nothing where there is no folder', async () => {
    await removeAbandoned(join(dir, 'nowhere'));
    expect(readdirSync(dir)).toEqual([]);
  });
});
