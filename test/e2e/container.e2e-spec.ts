import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { load } from 'js-yaml';
import { DEFAULT_COMPILED_MODELS, compiledFileName } from '../../src/models/compiled-models';
import { freePort } from '../support/free-port';
import { rootDir } from '../support/paths';
import { asUser, type ReplayedImage, replayDockerfile } from '../support/replay-dockerfile';
import { tempFolders } from '../support/temp-folder';

const isRoot = process.getuid?.() === 0;
const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'));

interface Compose {
  services: { likeness: { entrypoint: string[]; environment: Record<string, string> } };
}
const compose = load(readFileSync(join(rootDir, 'deploy', 'compose', 'compose.yaml'), 'utf8')) as Compose;

// The packages of other systems are not those of the image.
const describeOnLinux = process.platform === 'linux' ? describe : describe.skip;

describeOnLinux('the steps of the Dockerfile', () => {
  const tempFolder = tempFolders();
  let image: ReplayedImage;
  /** Where the container sees `./secrets` of compose.yaml. */
  let secrets: string;

  beforeAll(() => {
    const folder = tempFolder();
    chmodSync(folder, 0o755);
    image = replayDockerfile(join(rootDir, 'deploy', 'docker', 'Dockerfile'), rootDir, folder);
    secrets = join(image.root, 'run', 'secrets');
    mkdirSync(secrets, { recursive: true });
    if (isRoot) chownSync(secrets, image.user.uid, image.user.gid);
  });

  /** Its variables, with paths as they are on this machine. */
  const environment = (more: Record<string, string> = {}) =>
    Object.fromEntries(
      Object.entries({ PATH: dirname(process.execPath), ...image.env, ...more }).map(([name, value]) => [
        name,
        name !== 'PATH' && value.startsWith('/') ? join(image.root, value) : value,
      ]),
    );
  const here = (argument: string) =>
    argument.replace(/^(--[\w-]+=)?(\/.*)$/, (_all, option = '', path) => option + join(image.root, path));

  const options = (env: Record<string, string> = {}) => ({
    cwd: join(image.root, image.workdir),
    env: environment(env),
    encoding: 'utf8' as const,
    ...asUser(image.user),
  });
  const runIn = ([command, ...args]: string[], env: Record<string, string> = {}) =>
    spawnSync(command, args.map(here), options(env));

  it('leave the service, its models and their licenses, and neither sources nor tools', () => {
    const app = join(image.root, image.workdir);
    expect(readdirSync(app).sort()).toEqual(['LICENSE', 'dist', 'models', 'node_modules', 'package.json']);
    const models = DEFAULT_COMPILED_MODELS.map((name) => compiledFileName(name));
    expect(readdirSync(join(app, 'models')).sort()).toEqual(
      [...models, 'LICENSES.md', 'README.md', 'cards'].sort(),
    );
    const modules = readdirSync(join(app, 'node_modules'));
    expect(modules.filter((name) => /^(eslint|jest|prettier|typescript)$/.test(name))).toEqual([]);
    const runtimes = join(app, 'node_modules', 'onnxruntime-node', 'bin');
    const [napi] = readdirSync(runtimes);
    expect(readdirSync(join(runtimes, napi, 'linux'))).toEqual([process.arch]);
  });

  // Another user than root owns all files that the suite copies.
  (isRoot ? it : it.skip)('leave nothing that the user of the container can write but the volumes', () => {
    const { status, stdout } = runIn(['/usr/bin/find', '/', '-writable', '-not', '-type', 'l']);
    expect(status).toBe(0);
    const own = stdout
      .trim()
      .split('\n')
      .map((path) => path.slice(image.root.length));
    expect(own.sort()).toEqual([...image.volumes, '/run/secrets'].sort());
  });

  it('refuse to serve everyone without API keys', () => {
    const { status, stderr } = runIn([...image.entrypoint, ...image.cmd]);
    expect(stderr).toMatch(/^FACE_OPTIONS_INVALID: HOST=0\.0\.0\.0 exposes the service/);
    expect(status).toBe(1);
  });

  it('serve with the durable store and the secrets of compose.yaml, and end with 0', async () => {
    const create = ['keys', 'create', 'front-door', '--scopes', 'verify', '--file', '/run/secrets/keys.json'];
    const created = runIn([...image.entrypoint, ...create]);
    expect([created.status, created.stderr]).toEqual([0, expect.any(String)]);
    const key = /likeness_[\w-]{43}/.exec(created.stdout)?.[0];
    const settings = join(secrets, 'likeness.env');
    writeFileSync(settings, `FACE_GALLERY_KEY=${'a1'.repeat(32)}\n`, { mode: 0o600 });
    if (isRoot) chownSync(settings, image.user.uid, image.user.gid);

    const { entrypoint, environment: settingsOfCompose } = compose.services.likeness;
    const [port, healthPort] = [await freePort(), await freePort()];
    const env = {
      ...settingsOfCompose,
      PORT: `${port}`,
      FACE_HEALTH_PORT: `${healthPort}`,
      FACE_WORKER_COUNT: '1',
    };
    const [command, ...args] = [...entrypoint, ...image.cmd].map(here);
    const container = spawn(command, args, options(env));
    let output = '';
    for (const stream of [container.stdout, container.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk));
    const exited = once(container, 'exit') as Promise<[number | null]>;
    const ready = async () => {
      while (!/ready in \d+ ms/.test(output))
        await Promise.race([
          once(container.stdout, 'data'),
          exited.then(() => {
            throw new Error(output);
          }),
        ]);
    };
    try {
      await ready();
      expect(runIn(image.healthcheck, env).status).toBe(0);
      const body = new FormData();
      for (const field of ['probe', 'reference'])
        body.append(field, new Blob([new Uint8Array(photo)]), 'a.jpg');
      const response = await fetch(`http://127.0.0.1:${port}/v1/verify`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body,
      });
      expect(await response.json()).toMatchObject({ verified: true });
      // Both volumes are used: the models for this machine, and the encrypted galleries.
      expect(readdirSync(join(image.root, 'var/cache/likeness'))).toContain('prepared');
      expect(readdirSync(join(image.root, 'var/lib/likeness/gallery'))).toContain('header.json');
    } finally {
      container.kill('SIGTERM');
    }
    expect([(await exited)[0], output]).toEqual([0, expect.not.stringMatching(/warn/i)]);
    expect(runIn(image.healthcheck, env).status).toBe(1);
  });
});
