import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compiledFileName, DEFAULT_COMPILED_MODELS, WEIGHT_PACKAGES } from '../../src/models/compiled-models';
import { rootDir } from '../support/paths';
import { startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const OLD_SET = ['ssd-mobilenetv1', 'face-resnet-128'];
const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.getuid?.() === 0;
/** Root may write everywhere: the service then runs as another user, where that one can read the checkout. */
const canBeReadOnly =
  !isRoot || spawnSync(process.execPath, ['-e', ''], { cwd: rootDir, ...NOBODY }).status === 0;

const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample6.jpg'));

describe('the npm package', () => {
  const tempFolder = tempFolders();
  let packed: string[];
  let root: string;

  beforeAll(() => {
    const output = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
      cwd: rootDir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [{ files }] = JSON.parse(output) as { files: { path: string }[] }[];
    packed = files.map(({ path }) => path);
    root = install(tempFolder());
  });

  /** The packed files, and beside them the packages that they may need: all but those with the weights. */
  function install(folder: string): string {
    chmodSync(folder, 0o755);
    for (const path of packed) cpSync(join(rootDir, path), join(folder, path));
    const weights = Object.keys(WEIGHT_PACKAGES);
    const modules = join(folder, 'node_modules');
    for (const entry of readdirSync(join(rootDir, 'node_modules'))) {
      const isScope = entry.startsWith('@');
      const names = isScope ? readdirSync(join(rootDir, 'node_modules', entry)) : [''];
      mkdirSync(isScope ? join(modules, entry) : modules, { recursive: true });
      for (const name of names.map((inner) => (isScope ? `${entry}/${inner}` : entry))) {
        if (!weights.includes(name)) symlinkSync(join(rootDir, 'node_modules', name), join(modules, name));
      }
    }
    return folder;
  }

  const likeness = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    promisify(execFile)(process.execPath, [join(root, 'dist', 'cli.js'), ...args], {
      cwd: root,
      env: { ...process.env, ...env },
    });

  it('carries the compiled default models with their licenses, and no other weights', () => {
    // All of them lie in the folder: the suite compiles the earlier set too.
    for (const name of OLD_SET)
      expect(existsSync(join(rootDir, 'models', compiledFileName(name)))).toBe(true);
    const weights = packed.filter((path) => /\.(onnx|bin|h5|pth|ort|data)$/.test(path));
    const defaults = DEFAULT_COMPILED_MODELS.map((name) => `models/${compiledFileName(name)}`);
    expect(weights.sort()).toEqual(defaults.sort());
    expect(packed).toContain('models/LICENSES.md');
    expect(packed.filter((path) => /face-api|faceplugin|node_modules/.test(path))).toEqual([]);
  });

  (canBeReadOnly ? it : it.skip)(
    'serves from a folder that cannot be written, without the packages of the weights',
    async () => {
      const models = join(root, 'models');
      const before = readdirSync(models);
      chmodSync(models, 0o555);
      const service = await startService({}, { root, user: isRoot ? NOBODY : undefined });
      try {
        const form = new FormData();
        for (const field of ['probe', 'reference'])
          form.append(field, new Blob([new Uint8Array(photo)]), 'a.jpg');
        const response = await fetch(`${service.url}/v1/verify`, { method: 'POST', body: form });
        expect(await response.json()).toMatchObject({
          verified: true,
          detector: 'rfb-320',
          embedder: 'mobilefacenet-512',
        });
        expect(service.output()).not.toMatch(/compil/i);
        expect(readdirSync(models)).toEqual(before);
      } finally {
        await service.stop();
        chmodSync(models, 0o755);
      }
    },
  );

  it('ends a boot with the earlier set, which it does not carry, with the command that compiles it', async () => {
    for (const [variable, name] of [
      ['FACE_DETECTORS', 'ssd-mobilenetv1'],
      ['FACE_EMBEDDERS', 'face-resnet-128'],
    ]) {
      const boot = startService({ [variable]: name }, { root });
      await expect(boot).rejects.toThrow(
        new RegExp(`ended with 1: .*MODEL_NOT_FOUND: .*npx likeness models compile ${name}\n$`, 's'),
      );
    }
    const listed = JSON.parse((await likeness(['models', 'list', '--json'])).stdout) as {
      models: { name: string; state: string }[];
    };
    const states = Object.fromEntries(listed.models.map(({ name, state }) => [name, state]));
    for (const name of OLD_SET) expect(states[name]).toBe('compilable');
    for (const name of DEFAULT_COMPILED_MODELS) expect(states[name]).toBe('available');
    const check = likeness(['models', 'check'], { FACE_EMBEDDERS: 'face-resnet-128' });
    await expect(check).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('MODEL_NOT_FOUND'),
    });
  });

  it('compiles the earlier set once the package with its weights is there, and then boots with it', async () => {
    const compile = () => likeness(['models', 'compile', ...OLD_SET]);
    await expect(compile()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('npm install --save-dev @vladmandic/face-api@1.7.15'),
    });
    const weights = join('node_modules', '@vladmandic', 'face-api');
    symlinkSync(join(rootDir, weights), join(root, weights));
    const { stdout } = await compile();
    for (const name of OLD_SET) expect(stdout).toMatch(new RegExp(`^${name}: compiled in `, 'm'));
    const env = { FACE_DETECTORS: 'ssd-mobilenetv1', FACE_EMBEDDERS: 'face-resnet-128' };
    const service = await startService(env, { root });
    expect(await service.stop()).toBe(0);
  });
});
