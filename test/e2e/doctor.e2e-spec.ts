import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import type { Check } from '../../src/cli/doctor/check';
import { writeKeyFile } from '../support/key-file';
import { rootDir } from '../support/paths';
import { startCli } from '../support/start-cli';
import { startService } from '../support/start-service';

const SECRET = 'a-secret-of-the-operator-4f9c2b7e81d6';
/** Loopback and a free port: the settings under which nothing fails. */
const SAFE = { HOST: '127.0.0.1', PORT: '0', NODE_OPTIONS: '', ADMIN_KEY: '', DEEPFACE_AUTH_TOKEN: '' };

async function doctor(env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await startCli(['doctor', '--json'], { ...SAFE, ...env }).ended;
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Check[] };
  const named = (name: string) => checks.find((check) => check.name === name);
  return { code, stdout, stderr, ok, checks, named };
}

describe('likeness doctor', () => {
  jest.setTimeout(60_000);
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'likeness-doctor-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('passes where the service would start, and names each check once', async () => {
    const { code, ok, checks, stderr } = await doctor();
    expect(checks.filter(({ state }) => state === 'failure')).toEqual([]);
    expect([code, ok, stderr]).toEqual([0, true, '']);
    const names = checks.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining([
        'node',
        'machine',
        'onnxruntime',
        'sharp',
        'settings',
        'model rfb-320',
        'memory',
        'models folder',
        'cache folder',
        'exposure',
        'port',
        'gallery store',
      ]),
    );
  });

  it('prints one line per check, with what to do', async () => {
    const { code, stdout } = await startCli(['doctor'], { ...SAFE, ADMIN_KEY: 'short-and-weak-1' }).ended;
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expect(line).toMatch(/^(ok|WARNING|FAILURE) +\S.*\.$/);
    expect(lines).toContainEqual(expect.stringMatching(/^WARNING +ADMIN_KEY .*openssl rand/));
    // Warnings alone are no failure.
    expect(code).toBe(0);
  });

  it('prints no secret, whatever it thinks of it', async () => {
    const { stdout, stderr, named } = await doctor({
      ADMIN_KEY: SECRET,
      FACE_GALLERY_KEY: SECRET,
    });
    expect(named('ADMIN_KEY')).toMatchObject({
      state: 'warning',
      message: expect.stringContaining('same as'),
    });
    expect(stdout + stderr).not.toContain(SECRET);
    // Nor the folder of the package, which no setting names.
    expect(stdout + stderr).not.toContain(rootDir);
  });

  it('asks for no store where there are no galleries', async () => {
    expect((await doctor()).named('gallery store')).toMatchObject({ state: 'warning' });
    expect((await doctor({ FACE_FEATURES: 'verify' })).named('gallery store')).toMatchObject({ state: 'ok' });
  });

  it('names the API keys that have expired, and the entry that is wrong', async () => {
    const { file } = writeKeyFile(folder, {
      past: { scopes: ['read'], expiresAt: '2020-01-01T00:00:00Z' },
      guest: { scopes: ['read'], expiresAt: '2999-01-01T00:00:00Z' },
    });
    await chmod(file, 0o600);
    const keys = async () => (await doctor({ FACE_API_KEYS_FILE: file })).named('API keys');
    expect(await keys()).toMatchObject({ state: 'warning', message: expect.stringMatching(/ past\.$/) });
    await writeFile(file, (await readFile(file, 'utf8')).replace('2020-01-01T00:00:00Z', 'soon'));
    expect(await keys()).toMatchObject({ state: 'failure', message: expect.stringContaining('`expiresAt`') });
  });

  it('makes no receipt key, and says what is wrong with one', async () => {
    const file = join(folder, 'receipt-key.pem');
    const env = { FACE_RECEIPT_KEY_FILE: file, FACE_AUDIT_SUBJECTS: 'plain' };
    const receipts = async () => (await doctor(env)).named('receipt key');
    expect(await receipts()).toMatchObject({
      state: 'ok',
      message: expect.stringContaining('at the first start'),
    });
    expect(await readdir(folder)).not.toContain('receipt-key.pem');
    await writeFile(file, 'no key', { mode: 0o600 });
    expect(await receipts()).toMatchObject({ state: 'failure', message: expect.stringContaining('Ed25519') });
  });

  it('goes on without the settings where one is wrong', async () => {
    const { code, named } = await doctor({ FACE_WORKER_COUNT: 'many' });
    expect(named('settings')).toMatchObject({
      state: 'failure',
      message: expect.stringContaining('FACE_WORKER_COUNT'),
    });
    expect(named('onnxruntime')).toMatchObject({ state: 'ok' });
    expect(code).toBe(1);
  });

  it('fails where other machines reach a service without keys', async () => {
    const { code, named } = await doctor({ HOST: '0.0.0.0' });
    expect(named('exposure')?.state ?? named('settings')?.state).toBe('failure');
    expect(code).toBe(1);
  });

  it('fails for the inspector of Node, which runs the code of whoever reaches it', async () => {
    const { code, named } = await doctor({ NODE_OPTIONS: '--inspect=127.0.0.1:0' });
    expect(named('node')).toMatchObject({ state: 'failure' });
    expect(code).toBe(1);
  });

  it('names a model without a card, one without its file, and one whose file is another', async () => {
    const models = join(folder, 'models');
    await mkdir(models);
    const files = (await readdir(join(rootDir, 'models'))).filter((file) => file.endsWith('.onnx'));
    for (const file of files) {
      const copy = file.startsWith('rfb-320') ? copyFile : symlink;
      await copy(join(rootDir, 'models', file), join(models, file));
    }
    const rfb = join(models, files.find((file) => file.startsWith('rfb-320')) as string);
    const bytes = await readFile(rfb);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(rfb, bytes);
    const { code, named, stdout } = await doctor({
      FACE_MODEL_DIRS: models,
      FACE_EMBEDDERS: 'no-such-model,yunet',
    });
    expect(named('models')).toMatchObject({ state: 'failure' });
    expect(code).toBe(1);
    const other = await doctor({ FACE_MODEL_DIRS: models, FACE_EMBEDDERS: 'no-such-model,sface' });
    expect(other.named('model rfb-320')).toMatchObject({
      state: 'failure',
      message: expect.stringContaining('sha256'),
    });
    expect(other.named('model no-such-model')).toMatchObject({ state: 'failure' });
    expect(other.named('model sface')).toMatchObject({
      state: 'failure',
      advice: expect.stringContaining('models pull sface'),
    });
    expect(stdout + other.stdout).not.toContain(rootDir);
  });

  it('fails where the models take more memory than they may', async () => {
    const { code, named } = await doctor({ FACE_MEMORY_BUDGET_BYTES: String(128 * 2 ** 20) });
    expect(named('memory')).toMatchObject({ state: 'failure' });
    expect(code).toBe(1);
  });

  it('names a folder of models that is not there, and one that everybody writes to', async () => {
    const absent = join(folder, 'absent');
    const first = await doctor({ FACE_MODEL_DIRS: absent });
    expect(first.named('models folder')).toMatchObject({
      state: 'warning',
      message: `The folder ${absent} does not exist.`,
    });
    expect(first.code).toBe(0);
    const inPackage = join(rootDir, 'package.json', 'models');
    expect((await doctor({ FACE_MODEL_DIRS: inPackage })).named('models folder')).toMatchObject({
      state: 'failure',
      message: `The folder ${inPackage} cannot be read: a part of its path is not a folder.`,
    });
    const open = join(folder, 'open');
    await mkdir(open);
    await chmod(open, 0o777);
    expect((await doctor({ FACE_MODEL_DIRS: open })).named('models folder')).toMatchObject({
      state: 'failure',
      message: expect.stringContaining('every user'),
    });
  });

  it('warns of a cache folder that cannot be written, and fails for one that everybody writes to', async () => {
    const inFile = join(rootDir, 'package.json', 'cache');
    const { code, named } = await doctor({ FACE_CACHE_DIR: inFile });
    expect(named('cache folder')).toMatchObject({
      state: 'warning',
      message: `The folder ${inFile} cannot be written: new models are not prepared, and workers do not share weights.`,
    });
    expect(code).toBe(0);
    const open = join(folder, 'open-cache');
    await mkdir(open);
    await chmod(open, 0o777);
    expect((await doctor({ FACE_CACHE_DIR: open })).named('cache folder')).toMatchObject({
      state: 'failure',
      message: expect.stringContaining('every user'),
    });
  });

  it('warns where the port is taken', async () => {
    const server: Server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const { named, code } = await doctor({ PORT: String(port) });
    server.close();
    expect(named('port')).toMatchObject({ state: 'warning' });
    expect(code).toBe(0);
  });

  describe('with a durable store', () => {
    const settings = () => ({ FACE_GALLERY_STORE: 'durable', FACE_GALLERY_DIR: join(folder, 'galleries') });

    it('says that the folder is made, and makes nothing', async () => {
      const { code, named } = await doctor(settings());
      expect(named('gallery folder')).toMatchObject({ state: 'ok' });
      expect(named('gallery store')).toMatchObject({ state: 'ok' });
      expect(code).toBe(0);
      expect(await readdir(folder)).not.toContain('galleries');
    });

    it('opens with the key beside the running service, and fails with another', async () => {
      const env = { ...SAFE, ...settings(), FACE_GALLERY_KEY: SECRET };
      await mkdir(settings().FACE_GALLERY_DIR, { mode: 0o700 });
      const service = await startService(env);
      try {
        const right = await doctor(env);
        expect(right.named('gallery store')).toMatchObject({
          state: 'ok',
          message: 'The durable store opens with the key.',
        });
        expect(right.named('gallery folder')).toMatchObject({ state: 'ok' });
        const wrong = await doctor({ ...env, FACE_GALLERY_KEY: SECRET.toUpperCase() });
        expect(wrong.named('gallery store')).toMatchObject({ state: 'failure' });
        expect(wrong.code).toBe(1);
      } finally {
        await service.stop();
      }
    });

    it('warns of a folder that other users can read, and fails for one that they can write', async () => {
      const dir = settings().FACE_GALLERY_DIR;
      await chmod(dir, 0o755);
      expect((await doctor(settings())).named('gallery folder')).toMatchObject({ state: 'warning' });
      await chmod(dir, 0o777);
      const { code, named } = await doctor(settings());
      expect(named('gallery folder')).toMatchObject({ state: 'failure' });
      expect(code).toBe(1);
    });
  });
});
