import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { compiledFileName, DEFAULT_COMPILED_MODELS } from '../../src/models/compiled-models';
import { rootDir } from '../support/paths';
import { readmeBlocks } from '../support/readme-blocks';
import { startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

/* The package as its users have it: packed, installed into an empty folder, and used as README prints it. */

const OLD_SET = ['ssd-mobilenetv1', 'face-resnet-128'];
const MAX_PACKED_BYTES = 30 * 2 ** 20;
const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.getuid?.() === 0;
const demo = join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo');
const fixtures = join(rootDir, 'test', 'fixtures', 'consumer');
const readme = readmeBlocks();

/** Without what npm and Jest tell their children; where the registry is stays. */
const cleanEnv = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(npm_(?!config_(registry|cache|userconfig)$)|INIT_CWD$|JEST_|FACE_|NODE_(ENV|OPTIONS|PATH)$)/.test(
        name,
      ),
  ),
);
const NPM_SETTINGS = {
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
};

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

describe('the npm package', () => {
  const tempFolder = tempFolders();
  let packed: Packed;
  let paths: string[];
  /** Folder of the app that uses the package. */
  let app: string;
  let root: string;
  /** Home folder of the app, empty at first. */
  let home: string;

  beforeAll(async () => {
    const folder = tempFolder();
    chmodSync(folder, 0o755);
    [app, home] = [join(folder, 'app'), join(folder, 'home')];
    [app, home].forEach((dir) => mkdirSync(dir));
    const output = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      cwd: rootDir,
      env: cleanEnv,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    [packed] = JSON.parse(output) as Packed[];
    paths = packed.files.map(({ path }) => path);
    writeApp();
    const install = step('install').replace(/\bnest-likeness\b/, join(folder, packed.filename));
    const { stdout, stderr } = await shell(install, NPM_SETTINGS);
    expect(stdout + stderr).not.toMatch(/likeness.*warn|warn.*(likeness|ERESOLVE|config)/i);
    root = join(app, 'node_modules', 'nest-likeness');
    await compile('node10');
  }, 300_000);

  /** An app as the command line of Nest creates it, with the files of README and those of `test/fixtures/consumer`. */
  function writeApp(): void {
    const nest = (...names: string[]) =>
      Object.fromEntries(names.map((name) => [`@nestjs/${name}`, '^11.0.0']));
    const manifest = {
      name: 'app',
      private: true,
      dependencies: {
        ...nest('common', 'core', 'platform-express', 'platform-fastify'),
        'reflect-metadata': '^0.2.0',
        rxjs: '^7.8.0',
      },
      devDependencies: nest('testing'),
    };
    writeFileSync(join(app, 'package.json'), JSON.stringify(manifest));
    for (const [path, text] of readme.files) {
      mkdirSync(dirname(join(app, path)), { recursive: true });
      writeFileSync(join(app, path), text);
    }
    cpSync(fixtures, app, { recursive: true });
    mkdirSync(join(app, 'esm'));
    cpSync(join(app, 'src', 'types.ts'), join(app, 'esm', 'types.mts'));
  }

  function step(name: string): string {
    const commands = readme.steps.get(name);
    if (commands == null) throw new Error(`README.md has no block with step=${name}.`);
    return commands;
  }

  const shell = (commands: string, env: NodeJS.ProcessEnv = {}) =>
    promisify(execFile)('bash', ['-ec', commands], { cwd: app, env: { ...cleanEnv, ...env } });

  const likeness = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    promisify(execFile)(join(app, 'node_modules', '.bin', 'likeness'), args, {
      cwd: app,
      env: { ...cleanEnv, HOME: home, ...env },
    });

  /** Type-checks and emits with the compiler of this checkout: `tsconfig.<kind>.json` of the fixtures. */
  async function compile(kind: string): Promise<void> {
    const tsc = join(rootDir, 'node_modules', 'typescript', 'bin', 'tsc');
    const types = ['--typeRoots', join(rootDir, 'node_modules', '@types')];
    const args = [tsc, '-p', `tsconfig.${kind}.json`, ...types];
    await promisify(execFile)(process.execPath, args, { cwd: app }).catch(
      ({ stdout }: { stdout: string }) => {
        throw new Error(`tsc with tsconfig.${kind}.json: ${stdout}`);
      },
    );
  }

  /** Two photos of one person: one of the demo, and a part of it with the largest face, mirrored and shrunk. */
  async function writePhotos(): Promise<void> {
    const photo = join(demo, 'sample6.jpg');
    cpSync(photo, join(app, 'a.jpg'));
    const part = { left: 100, top: 330, width: 520, height: 600 };
    await sharp(photo).extract(part).flop().resize(400).jpeg().toFile(join(app, 'b.jpg'));
  }

  /** Starts the app of README, sends the call of README to it, and ends it. */
  async function callApp(): Promise<void> {
    const port = await freePort();
    const child = spawn(process.execPath, [join(app, 'dist', 'main.js')], {
      cwd: app,
      env: { ...cleanEnv, HOME: home, PORT: String(port) },
    });
    const exited = once(child, 'exit');
    let [output, errors] = ['', ''];
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    try {
      await new Promise<void>((resolve, reject) => {
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          if (output.includes('successfully started')) resolve();
        });
        void exited.then(() => reject(new Error(`The app ended: ${output}${errors}`)));
      });
      const call = step('call').replaceAll('localhost:3000', `127.0.0.1:${port}`);
      const { stdout } = await retry(() => shell(call));
      expect(JSON.parse(stdout)).toEqual(JSON.parse(readme.answers.get('call') as string));
    } finally {
      child.kill('SIGTERM');
      await exited;
    }
    expect(errors).toBe('');
  }

  it('carries the built code, the default models with their licenses, and nothing else', () => {
    const folders = new Set(paths.map((path) => path.split('/')[0]));
    expect([...folders].sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'dist',
      'models',
      'package.json',
    ]);
    const wrong = paths.filter(
      (path) =>
        (path.startsWith('dist/') && !/\.(js|mjs|d\.ts|wasm|json|html|css|svg)$/.test(path)) ||
        /\.(map|tsbuildinfo)$|\.spec\.|node_modules|face-api|faceplugin|[^d]\.ts$/.test(path),
    );
    expect(wrong).toEqual([]);
    // All of them lie in the folder: the suite compiles the earlier set too.
    for (const name of OLD_SET)
      expect(existsSync(join(rootDir, 'models', compiledFileName(name)))).toBe(true);
    const models = paths.filter((path) => /^models\/[^/]+$/.test(path));
    const defaults = DEFAULT_COMPILED_MODELS.map((name) => `models/${compiledFileName(name)}`);
    expect(models.sort()).toEqual([...defaults, 'models/LICENSES.md', 'models/README.md'].sort());
    expect(packed.size).toBeLessThanOrEqual(MAX_PACKED_BYTES);
  });

  it('has one name for itself: README, docs and examples import it by the name of its manifest', () => {
    const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string };
    expect(name).toBe('nest-likeness');
    for (const file of [
      'README.md',
      ...readdirSync(join(rootDir, 'docs')).map((file) => join('docs', file)),
    ]) {
      if (file.endsWith('.md'))
        expect(readFileSync(join(rootDir, file), 'utf8')).not.toMatch(/from 'likeness/);
    }
  });

  it('resolves with its types under nodenext, in CommonJS and in ES modules', async () => {
    // That of node10 is compiled for all other tests.
    await compile('nodenext');
  });

  it('is imported by CommonJS and ES modules', async () => {
    const names = `console.log(FaceModule.name, FakeFaceModel.name)`;
    const sources = {
      'consumer.cjs': `const { FaceModule } = require('nest-likeness'); const { FakeFaceModel } = require('nest-likeness/testing'); ${names}`,
      'consumer.mjs': `import { FaceModule } from 'nest-likeness'; import { FakeFaceModel } from 'nest-likeness/testing'; ${names}`,
    };
    for (const [file, source] of Object.entries(sources)) {
      writeFileSync(join(app, file), source);
      const options = { cwd: app, env: cleanEnv };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], options);
      expect([stdout, stderr]).toEqual(['FaceModule FakeFaceModel\n', '']);
    }
  });

  it('passes the e2e test of README', async () => {
    const config = {
      rootDir: app,
      testRegex: '\\.e2e-spec\\.ts$',
      transform: {
        '\\.ts$': [
          require.resolve('ts-jest'),
          { tsconfig: join(app, 'tsconfig.node10.json'), diagnostics: false },
        ],
      },
    };
    const jest = join(rootDir, 'node_modules', 'jest', 'bin', 'jest.js');
    const { stderr } = await promisify(execFile)(
      process.execPath,
      [jest, '--config', JSON.stringify(config), '--runInBand'],
      { cwd: app, env: cleanEnv },
    );
    expect(stderr).toMatch(/Tests: +1 passed, 1 total/);
  });

  it('answers the call of README with real photos, and writes nothing into node_modules', async () => {
    await writePhotos();
    const before = allFiles(join(app, 'node_modules'));
    await callApp();
    expect(allFiles(join(app, 'node_modules'))).toEqual(before);
    const prepared = readdirSync(join(home, '.cache', 'likeness', 'prepared'));
    expect(prepared).toHaveLength(DEFAULT_COMPILED_MODELS.length);
  });

  it('verifies on the command line as README prints it', async () => {
    await writePhotos();
    const { stdout, stderr } = await shell(step('verify'), { HOME: home, ...NPM_SETTINGS });
    expect(stdout).toMatch(/^verified\n/);
    // Progress is no warning: a slow machine gets it.
    expect(stderr).not.toMatch(/warn|notice|error|deprecat|not prepared/i);
    const answer = readme.answers.get('verify');
    if (answer != null) expect(stdout).toBe(answer);
  });

  it('works in an app on Fastify', async () => {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [join(app, 'dist', 'fastify.js')],
      {
        cwd: app,
        env: cleanEnv,
      },
    );
    expect(JSON.parse(stdout)).toEqual([201, { verified: true, distance: 0 }]);
    expect(stderr).toBe('');
  });

  it('serves another user who can write neither the package nor a home folder, with one notice', async () => {
    chmodSync(join(root, 'models'), 0o555);
    const user = isRoot && canRead(root) ? NOBODY : undefined;
    // A file in the place of the folder: it cannot be created, whoever the user is.
    const env = { HOME: join(app, 'package.json'), FACE_WORKER_COUNT: '1' };
    const service = await startService(env, { root, user });
    try {
      expect(await verify(service.url)).toMatchObject({
        verified: true,
        detector: 'rfb-320',
        embedder: 'mobilefacenet-512',
      });
      const notices = service.output().match(/not prepared/g);
      expect(notices).toHaveLength(1);
      expect(service.output()).toMatch(/the cache folder cannot be written \(ENOTDIR\)\. Set FACE_CACHE_DIR/);
      expect(service.output()).not.toMatch(/compil/i);
    } finally {
      expect(await service.stop()).toBe(0);
      chmodSync(join(root, 'models'), 0o755);
    }
  });

  it('ends a boot with the earlier set, which it does not carry, with the command that compiles it', async () => {
    const boot = startService({ FACE_EMBEDDERS: 'face-resnet-128', HOME: home }, { root });
    await expect(boot).rejects.toThrow(
      /ended with 1: .*MODEL_NOT_FOUND: .*npx likeness models compile face-resnet-128\n$/s,
    );
    const listed = JSON.parse((await likeness(['models', 'list', '--json'])).stdout) as {
      models: { name: string; state: string }[];
    };
    const states = Object.fromEntries(listed.models.map(({ name, state }) => [name, state]));
    for (const name of OLD_SET) expect(states[name]).toBe('compilable');
    for (const name of DEFAULT_COMPILED_MODELS) expect(states[name]).toBe('available');
  });

  it('compiles the earlier set into the cache once the package with its weights is there', async () => {
    const compileOld = () => likeness(['models', 'compile', ...OLD_SET]);
    await expect(compileOld()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('npm install --save-dev @vladmandic/face-api@1.7.15'),
    });
    const weights = join('node_modules', '@vladmandic', 'face-api');
    mkdirSync(dirname(join(app, weights)), { recursive: true });
    symlinkSync(join(rootDir, weights), join(app, weights));
    const { stdout } = await compileOld();
    const models = join(home, '.cache', 'likeness', 'models');
    for (const name of OLD_SET) {
      const line = stdout.split('\n').find((text) => text.startsWith(`${name}: compiled in `));
      expect(line?.endsWith(join(models, compiledFileName(name)))).toBe(true);
    }
    const env = {
      FACE_DETECTORS: 'ssd-mobilenetv1',
      FACE_EMBEDDERS: 'face-resnet-128',
      FACE_WORKER_COUNT: '1',
      HOME: home,
    };
    const service = await startService(env, { root });
    expect(await service.stop()).toBe(0);
  });

  // The last test: it changes the app.
  it('runs on Nest 12: the app of README and the service', async () => {
    // As docs/install.md says it for an app on Nest 12. npm does not move an installed set of Nest packages to a new major
    // version by itself, so this is the install of a new app.
    const path = join(app, 'package.json');
    const manifest = readFileSync(path, 'utf8').replaceAll('"^11.0.0"', '"^12.0.0"');
    writeFileSync(path, manifest);
    for (const old of [
      'package-lock.json',
      join('node_modules', '.package-lock.json'),
      join('node_modules', '@nestjs'),
    ])
      rmSync(join(app, old), { recursive: true });
    await shell('npm i --ignore-scripts @nestjs/swagger@12', NPM_SETTINGS);
    expect(versionOf('common')).toMatch(/^12\./);
    expect(versionOf('swagger')).toMatch(/^12\./);
    expect(existsSync(join(root, 'node_modules', '@nestjs'))).toBe(false);
    await callApp();
    const service = await startService({ HOME: home, FACE_WORKER_COUNT: '1' }, { root });
    try {
      expect(await verify(service.url)).toMatchObject({ verified: true });
      const document = await fetch(`${service.url}/openapi.json`);
      expect(document.status).toBe(200);
    } finally {
      expect(await service.stop()).toBe(0);
    }
  }, 300_000);

  function versionOf(name: string): string {
    const path = join(app, 'node_modules', '@nestjs', name, 'package.json');
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  }

  async function verify(url: string): Promise<unknown> {
    const photo = new Uint8Array(readFileSync(join(demo, 'sample6.jpg')));
    const form = new FormData();
    for (const field of ['probe', 'reference']) form.append(field, new Blob([photo]), 'a.jpg');
    const response = await fetch(`${url}/v1/verify`, { method: 'POST', body: form });
    return response.json();
  }
});

/** Root may write everywhere: a service then runs as another user, where that one can read its folder. */
function canRead(folder: string): boolean {
  return spawnSync(process.execPath, ['-e', ''], { cwd: folder, ...NOBODY }).status === 0;
}

function allFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Nest logs that it has started before it listens. */
async function retry<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
