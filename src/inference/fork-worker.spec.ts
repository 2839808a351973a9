import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolders } from '../../test/support/temp-folder';
import { forkWorker, workerEnvironment } from './fork-worker';

const SECRETS = {
  ADMIN_KEY: 'secret-of-the-operator',
  FACE_GALLERY_KEY: 'secret-of-the-galleries-1234567890',
  DEEPFACE_AUTH_TOKEN: 'secret-of-the-dialect',
  FACE_API_KEYS_FILE: '/run/secrets/keys',
  AWS_SECRET_ACCESS_KEY: 'secret-of-another',
};

describe(forkWorker.name, () => {
  const makeFolder = tempFolders();
  const before = { ...process.env };
  beforeAll(() => Object.assign(process.env, SECRETS, { TZ: 'UTC' }));
  afterAll(() => (process.env = before));

  /** What a process that is started as a worker says of itself. */
  async function ask(expression: string): Promise<unknown> {
    const file = join(makeFolder(), 'worker.js');
    writeFileSync(file, `process.on('message', () => process.send(${expression}))`);
    const child = forkWorker(file);
    try {
      child.send('now');
      return (await once(child, 'message'))[0] as unknown;
    } finally {
      child.kill('SIGKILL');
    }
  }

  it('gives a worker no secret of the main process, and what native libraries need', async () => {
    const env = (await ask('process.env')) as NodeJS.ProcessEnv;
    expect(Object.keys(env)).toEqual(expect.arrayContaining(['PATH', 'TZ', 'MALLOC_ARENA_MAX']));
    expect(Object.keys(env).filter((name) => name in SECRETS)).toEqual([]);
    expect(JSON.stringify(env)).not.toContain('secret-of');
  });

  it('keeps the runtime from reporting to its maker', async () => {
    expect(await ask('process.env.ORT_DISABLE_TELEMETRY')).toBe('1');
  });

  const itOnLinux = process.platform === 'linux' ? it : it.skip;
  itOnLinux('lets the kernel end a worker before the main process', async () => {
    const score = (file: string) => Number(readFileSync(file, 'utf8'));
    const own = score('/proc/self/oom_score_adj');
    const worker = await ask(`Number(require('fs').readFileSync('/proc/self/oom_score_adj', 'utf8'))`);
    expect(worker).toBe(Math.min(1000, own + 300));
  });
});

describe(workerEnvironment.name, () => {
  it('keeps what is listed, by name or by prefix, and nothing else', () => {
    const kept = {
      LC_ALL: 'C',
      LD_LIBRARY_PATH: '/opt/lib',
      NODE_OPTIONS: '--max-old-space-size=256',
      Path: 'C:\\',
    };
    expect(workerEnvironment({ ...SECRETS, ...kept, HOME: '/root', XLC_ALL: 'x', PATHS: 'x' })).toEqual(kept);
  });
});
