import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FileServer, first, startFileServer, status } from '../support/file-server';
import { rootDir } from '../support/paths';
import { seededRandom } from '../support/seeded-random';
import { selfSigned } from '../support/self-signed';
import { describeWithShared, sharedDir } from '../support/shared';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

const makeFolder = tempFolders();
const random = seededRandom(11);
const weights = Buffer.from(Array.from({ length: 500_000 }, () => Math.floor(random() * 256)));
const sha256 = createHash('sha256').update(weights).digest('hex');

/** A models folder with a card of the file that the servers of this suite have. */
function makeModels(change: object = {}): string {
  const dir = makeFolder();
  const yunet = JSON.parse(readFileSync(join(rootDir, 'models', 'cards', 'yunet.json'), 'utf8'));
  mkdirSync(join(dir, 'cards'));
  const card = {
    ...yunet,
    name: 'mine',
    file: 'mine.onnx',
    sha256,
    bytes: weights.length,
    download: { url: 'https://publisher.example/v1/mine.onnx' },
    ...change,
  };
  writeFileSync(join(dir, 'cards', 'mine.json'), JSON.stringify(card));
  return dir;
}

const pull = (dir: string, mirror: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) =>
  startCli(['models', 'pull', 'mine', ...args], {
    FACE_MODEL_DIRS: dir,
    FACE_MODEL_MIRROR_URL: mirror,
    ...env,
  });
const files = (dir: string) => readdirSync(dir).sort();
const isComplete = (dir: string) => readFileSync(join(dir, 'mine.onnx')).equals(weights);

describe('likeness models pull', () => {
  jest.setTimeout(60_000);
  let server: FileServer;
  beforeEach(async () => (server = await startFileServer(weights)));
  afterEach(() => server.stop());

  it('pulls, tells how far it is, and leaves alone what is there', async () => {
    const dir = makeModels();
    const pulled = await pull(dir, server.url).ended;
    expect(pulled.stdout).toBe(`mine: pulled, license MIT, ${join(dir, 'mine.onnx')}\n`);
    expect(pulled.stderr).toMatch(/^mine\.onnx 0\.5 of 0\.5 MiB, \d+\.\d MiB\/s$/m);
    const again = await pull(dir, server.url, ['--json']).ended;
    expect(JSON.parse(again.stdout)).toEqual({
      models: [
        {
          name: 'mine',
          path: join(dir, 'mine.onnx'),
          state: 'present',
          license: { name: 'MIT', commercialUse: true },
        },
      ],
    });
    expect([pulled.code, again.code, server.requests.length]).toEqual([0, 0, 1]);
    expect([files(dir), isComplete(dir)]).toEqual([['cards', 'mine.onnx'], true]);
  });

  it('goes on where one that was killed stopped', async () => {
    const dir = makeModels();
    server.next.push(first(200_000, 'stall'));
    const { child, ended } = pull(dir, server.url);
    const part = join(dir, 'mine.onnx.part');
    while (!existsSync(part) || statSync(part).size < 200_000) await sleep(20);
    child.kill('SIGKILL');
    await ended;
    expect(files(dir)).toEqual(['cards', 'mine.onnx.part', 'mine.onnx.part.json']);
    const { code } = await pull(dir, server.url).ended;
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, 'bytes=200000-']);
    expect([code, files(dir), isComplete(dir)]).toEqual([0, ['cards', 'mine.onnx'], true]);
  });

  it('does no harm where several processes pull the same', async () => {
    const dir = makeModels();
    const results = await Promise.all([1, 2, 3].map(() => pull(dir, server.url).ended));
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(results.filter(({ stdout }) => stdout.includes('pulled'))).toHaveLength(1);
    expect([server.requests.length, files(dir), isComplete(dir)]).toEqual([1, ['cards', 'mine.onnx'], true]);
  });

  it('exits with 2 and one line for what cannot be', async () => {
    const dir = makeModels({ license: { name: 'Research', commercialUse: false, note: 'No business.' } });
    const refused = await pull(dir, server.url).ended;
    expect(refused.stderr).toMatch(
      /^MODEL_LICENSE_NOT_ACCEPTED: .*mine \(Research\).* No business\. .*--accept-license.*\n$/,
    );
    server.next.push(status(404));
    const absent = await pull(dir, server.url, ['--accept-license', '--json']).ended;
    expect(JSON.parse(absent.stdout)).toMatchObject({ error: { code: 'MODEL_DOWNLOAD_FAILED' } });
    const hash = await pull(dir, server.url, ['--sha256', 'abc']).ended;
    expect(hash.stderr).toMatch(/^PARAMETER_INVALID: .*--sha256/);
    const mirror = await pull(dir, 'ftp://mirror.example').ended;
    expect(mirror.stderr).toMatch(/^FACE_OPTIONS_INVALID: .*FACE_MODEL_MIRROR_URL/);
    expect([refused, absent, hash, mirror].map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(files(dir)).toEqual(['cards']);
  });

  it('takes the file from a folder', async () => {
    const [dir, from] = [makeModels(), makeFolder()];
    writeFileSync(join(from, 'mine.onnx'), weights);
    const { code } = await pull(dir, '', ['--from', from]).ended;
    expect([code, files(dir), isComplete(dir)]).toEqual([0, ['cards', 'mine.onnx'], true]);
  });

  it('makes a model loadable whose card pins nothing, once its sha256 is given', async () => {
    const dir = makeModels({ sha256: undefined, bytes: undefined });
    expect((await pull(dir, server.url).ended).stderr).toMatch(/^MODEL_INVALID: .*--sha256/);
    expect((await pull(dir, server.url, ['--sha256', sha256.toUpperCase()]).ended).code).toBe(0);
    const check = await startCli(['models', 'check', '--json'], {
      FACE_MODEL_DIRS: dir,
      FACE_DETECTORS: 'rfb-320',
    }).ended;
    expect(JSON.parse(check.stdout).models).toContainEqual(
      expect.objectContaining({
        name: 'mine',
        checksum: 'ok',
        license: { name: 'MIT', commercialUse: true },
      }),
    );
    writeFileSync(join(dir, 'mine.onnx'), 'short');
    const wrong = await startCli(['models', 'check'], { FACE_MODEL_DIRS: dir }).ended;
    expect(wrong.stdout).toMatch(/^mine +wrong +- +MIT +yes +/m);
    expect(wrong.stderr).toMatch(
      /^MODEL_CHECKSUM_MISMATCH: Expected size in bytes 500000 for .* but it is 5\.$/m,
    );
    expect([check.code, wrong.code]).toEqual([0, 1]);
  });
});

describe('likeness models pull over TLS', () => {
  jest.setTimeout(60_000);
  const certificate = selfSigned();
  const trusted = join(makeFolder(), 'ca.pem');
  let server: FileServer;
  let plain: FileServer;
  let proxy: Server | undefined;
  beforeAll(() => writeFileSync(trusted, certificate.cert));
  beforeEach(async () => {
    server = await startFileServer(weights, certificate);
    plain = await startFileServer(weights);
  });
  afterEach(async () => {
    await server.stop();
    await plain.stop();
    proxy?.close();
  });
  const trust = { NODE_EXTRA_CA_CERTS: trusted };

  it('takes nothing from a server that it does not trust, and asks once', async () => {
    const dir = makeModels();
    const { code, stderr } = await pull(dir, server.url).ended;
    expect(stderr).toMatch(/^MODEL_DOWNLOAD_FAILED: .*self-signed certificate/);
    expect(stderr).not.toContain('retrying');
    expect([code, server.requests, files(dir)]).toEqual([2, [], ['cards']]);
  });

  it('follows a redirect to TLS, and none from it', async () => {
    const dir = makeModels();
    server.next.push(status(302, { location: `${plain.url}mine.onnx` }));
    const away = await pull(dir, server.url, [], trust).ended;
    expect(away.stderr).toMatch(
      /^MODEL_DOWNLOAD_FAILED: .* it leads to http:\/\/127\.0\.0\.1:\d+, which is not https\.$/m,
    );
    // A plain mirror of the operator's own may be left for TLS, but then there is no way back.
    plain.next.push(status(302, { location: server.url }));
    server.next.push(status(302, { location: plain.url }));
    const back = await pull(dir, plain.url, [], trust).ended;
    expect(back.stderr).toMatch(/which is not https/);
    expect([away.code, back.code, files(dir)]).toEqual([2, 2, ['cards']]);
    plain.next.push(status(302, { location: `${server.url}other-name` }));
    const { code } = await pull(dir, plain.url, [], trust).ended;
    expect([code, isComplete(dir)]).toEqual([0, true]);
  });

  it('goes through a proxy, unless NO_PROXY says otherwise or the proxy refuses', async () => {
    const tunnels: string[] = [];
    let isOpen = true;
    proxy = createServer().on('connect', (request, socket) => {
      tunnels.push(`${request.headers['proxy-authorization']} ${request.url}`);
      socket.on('error', () => undefined);
      if (!isOpen)
        return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
      const [host, port] = String(request.url).split(':');
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.pipe(socket).pipe(target);
      });
      target.on('error', () => socket.destroy());
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const HTTPS_PROXY = `http://user:secret@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const dir = makeModels();
    // By name: the agent for tunnels cannot check a certificate against an address.
    const mirror = server.url.replace('127.0.0.1', 'localhost');
    const through = await pull(dir, mirror, [], { ...trust, HTTPS_PROXY }).ended;
    expect(through).toMatchObject({ code: 0, stderr: expect.not.stringContaining('failed') });
    expect(isComplete(dir)).toBe(true);
    expect(tunnels).toEqual([
      `Basic ${Buffer.from('user:secret').toString('base64')} ${new URL(mirror).host}`,
    ]);
    const past = await pull(dir, mirror, ['--force'], { ...trust, HTTPS_PROXY, NO_PROXY: 'localhost' }).ended;
    expect([past.code, tunnels.length, server.requests.length]).toEqual([0, 1, 2]);
    isOpen = false;
    const refused = await pull(dir, mirror, ['--force'], { ...trust, HTTPS_PROXY }).ended;
    expect(refused.stderr).toMatch(/^MODEL_DOWNLOAD_FAILED: .*407/m);
    expect(refused.stderr).not.toContain('secret');
    expect([refused.code, isComplete(dir)]).toEqual([2, true]);
  });
});

describeWithShared('a model that was pulled', () => {
  jest.setTimeout(60_000);

  it('is checked and finds faces', async () => {
    const file = 'face_detection_yunet_2023mar.onnx';
    const server = await startFileServer(readFileSync(join(String(sharedDir), 'models', file)));
    const env = { FACE_MODEL_DIRS: makeFolder(), FACE_MODEL_MIRROR_URL: server.url };
    const pulled = await startCli(['models', 'pull', 'yunet'], env).ended;
    await server.stop();
    expect(pulled).toMatchObject({ code: 0, stdout: expect.stringMatching(/^yunet: pulled, license MIT, /) });
    expect(server.requests).toEqual([{ path: `/${file}`, range: undefined }]);
    const photo = join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg');
    const found = await startCli(['detect', photo, '--detector', 'yunet', '--json'], env).ended;
    expect(JSON.parse(found.stdout).faces.length).toBeGreaterThan(0);
    expect(found.code).toBe(0);
  });
});
