import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import {
  type Behavior,
  endless,
  type FileServer,
  first,
  honest,
  partial,
  startFileServer,
  status,
  unannounced,
  withLength,
} from '../../../test/support/file-server';
import { makeZip } from '../../../test/support/make-zip';
import { seededRandom } from '../../../test/support/seeded-random';
import { tempFolders } from '../../../test/support/temp-folder';
import { FaceError } from '../../errors';
import type { ModelCard } from '../../models/model-card';
import type { StoredModel } from '../../models/model-store';
import { type PulledModel, pullModels, type PullOptions } from './pull-models';

const makeFolder = tempFolders();
const random = seededRandom(7);
const SIZE = 300_000;
const weights = Buffer.from(Array.from({ length: SIZE }, () => Math.floor(random() * 256)));
const others = Buffer.from(weights).reverse();
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const card = (fields: Partial<ModelCard> = {}) =>
  ({
    name: 'mine',
    file: 'mine.onnx',
    sha256: sha256(weights),
    bytes: SIZE,
    license: { name: 'MIT', commercialUse: true },
    source: 'the suite',
    download: { url: 'https://publisher.example/v1/mine.onnx' },
    ...fields,
  }) as ModelCard;

const proxies = [
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'ALL_PROXY',
  'all_proxy',
  'NO_PROXY',
  'no_proxy',
];
let env: NodeJS.ProcessEnv;
let server: FileServer;
let dir: string;
let notices: string[];
beforeEach(async () => {
  env = { ...process.env };
  for (const name of proxies) delete process.env[name];
  server = await startFileServer(weights);
  dir = join(makeFolder(), 'models');
  notices = [];
});
afterEach(async () => {
  process.env = env;
  await server.stop();
});

/** From the local server, as a mirror of the publisher. Short pauses between attempts, a long timeout within one. */
async function pull(
  cards: ModelCard[] = [card()],
  options: Partial<PullOptions> = {},
  names = cards.map(({ name }) => name),
): Promise<PulledModel[]> {
  const store = new Map<string, StoredModel>();
  for (const each of cards) {
    const path = join(dir, String(each.file));
    store.set(each.name, { card: each, path: existsSync(path) ? path : null });
  }
  const results: PulledModel[] = [];
  const pulled = pullModels(names, store, {
    modelsDir: dir,
    mirrorUrl: server.url,
    from: null,
    force: false,
    acceptLicense: false,
    sha256: null,
    onNotice: (message) => notices.push(message),
    onBytes: (_file, done) => server.reached(done),
    ...options,
    retryPolicy: { stallMs: 10_000, retryMs: 1, attempts: 4, ...options.retryPolicy },
  });
  for await (const result of pulled) results.push(result);
  return results;
}

async function refusal(work: Promise<unknown>): Promise<FaceError> {
  const error = await work.then(
    () => new Error('It was accepted.'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FaceError)) throw error;
  return error;
}

const files = () => (existsSync(dir) ? readdirSync(dir).sort() : []);
const content = (file = 'mine.onnx') => readFileSync(join(dir, file));
/** Files left behind for the next pull to resume. */
const RESUMABLE = ['mine.onnx.part', 'mine.onnx.part.json'];
const ranges = () => server.requests.map(({ range }) => range);

describe('a file', () => {
  it('is pulled once, then left alone, and fetched again with force', async () => {
    const path = join(dir, 'mine.onnx');
    const license = { name: 'MIT', commercialUse: true };
    expect(await pull()).toEqual([{ name: 'mine', path, state: 'pulled', license }]);
    expect(content().equals(weights)).toBe(true);
    expect(await pull()).toEqual([{ name: 'mine', path, state: 'present', license }]);
    expect(server.requests).toEqual([{ path: '/mine.onnx', range: undefined }]);
    expect(await pull([card()], { force: true })).toMatchObject([{ state: 'pulled' }]);
    expect(server.requests).toHaveLength(2);
    expect(files()).toEqual(['mine.onnx']);
  });

  it('replaces a file that is not the one of the card', async () => {
    mkdirSync(dir);
    writeFileSync(join(dir, 'mine.onnx'), others);
    expect(await pull()).toMatchObject([{ state: 'pulled' }]);
    expect(content().equals(weights)).toBe(true);
  });

  it('tells how far it is', async () => {
    const events: [string, number, number | null][] = [];
    await pull([card()], { onBytes: (...event) => events.push(event) });
    expect(events[0]).toEqual(['mine.onnx', 0, SIZE]);
    expect(events.at(-1)).toEqual(['mine.onnx', SIZE, SIZE]);
  });

  it('takes the name that the publisher gives it from the mirror, and its own where nobody publishes it', async () => {
    await pull([card({ download: { url: 'https://publisher.example/v2/weights-v2.onnx' } })]);
    await pull([card({ file: 'unpublished.onnx', download: undefined })]);
    expect(server.requests.map(({ path }) => path)).toEqual(['/weights-v2.onnx', '/unpublished.onnx']);
    expect(files()).toEqual(['mine.onnx', 'unpublished.onnx']);
  });
});

describe('a server that fails in passing', () => {
  it.each<[string, Behavior[], (string | undefined)[]]>([
    ['answers 500, then 503', [status(500), status(503)], [undefined, undefined, undefined]],
    [
      'answers 429 with Retry-After in seconds',
      [status(429, { 'retry-after': '0' })],
      [undefined, undefined],
    ],
    [
      'answers 503 with Retry-After as a date',
      [status(503, { 'retry-after': 'Thu, 01 Jan 2026 00:00:00 GMT' })],
      [undefined, undefined],
    ],
    ['resets the connection midway', [first(100_000, 'reset')], [undefined, 'bytes=100000-']],
    [
      'resets it twice',
      [first(100_000, 'reset'), first(120_000, 'reset')],
      [undefined, 'bytes=100000-', 'bytes=120000-'],
    ],
    ['stalls midway', [first(100_000, 'stall')], [undefined, 'bytes=100000-']],
    ['never answers', [() => undefined], [undefined, undefined]],
    ['states no length and ends early', [unannounced(100_000)], [undefined, undefined]],
    ['states more than it sends', [withLength(SIZE, weights.subarray(0, 1000))], [undefined, undefined]],
    ['gives no ETag, so that nothing can be resumed', [first(1000, 'reset', null)], [undefined, undefined]],
    ['gives a weak ETag', [first(1000, 'reset', 'W/"one"')], [undefined, undefined]],
    ['ignores Range', [first(1000, 'reset'), withLength(SIZE)], [undefined, 'bytes=1000-']],
    [
      'sends another part than was asked for',
      [first(1000, 'reset'), partial('"one"', 500, `bytes 500-${SIZE - 1}/${SIZE}`)],
      [undefined, 'bytes=1000-', undefined],
    ],
    [
      'sends a part that nobody asked for',
      [partial('"one"', 0, `bytes 0-${SIZE - 1}/${SIZE}`)],
      [undefined, undefined],
    ],
    [
      'sends a part without saying which',
      [first(1000, 'reset'), partial('"one"', 1000, 'bytes')],
      [undefined, 'bytes=1000-', undefined],
    ],
    [
      'sends a part of a file of another size',
      [first(1000, 'reset'), partial('"one"', 1000, `bytes 1000-${SIZE - 1}/${SIZE + 1}`)],
      [undefined, 'bytes=1000-', undefined],
    ],
    [
      'knows no such range any more',
      [first(1000, 'reset'), status(416)],
      [undefined, 'bytes=1000-', undefined],
    ],
  ])('is asked again where it %s', async (_, behaviors, asked) => {
    server.next.push(...behaviors);
    const isSlow = behaviors.length === 1 && /stall|never/.test(_);
    await pull([card()], isSlow ? { retryPolicy: { stallMs: 500 } } : {});
    expect(ranges()).toEqual(asked);
    expect(notices).toHaveLength(asked.length - 1);
    expect(content().equals(weights)).toBe(true);
    expect(files()).toEqual(['mine.onnx']);
  });

  it('is given up after some tries, with what has come kept for the next pull', async () => {
    server.next.push(first(1000, 'reset'), status(500), status(500), status(500));
    const error = await refusal(pull());
    expect(error).toMatchObject({
      code: 'MODEL_DOWNLOAD_FAILED',
      message: `The download of ${server.url}mine.onnx failed: it answers with status 500.`,
      details: { url: `${server.url}mine.onnx` },
    });
    expect(files()).toEqual(RESUMABLE);
    await pull();
    expect(ranges().at(-1)).toBe('bytes=1000-');
    expect(content().equals(weights)).toBe(true);
    expect(files()).toEqual(['mine.onnx']);
  });

  it('is not waited for longer than two minutes', async () => {
    server.next.push(status(429, { 'retry-after': '121' }));
    expect(await refusal(pull())).toMatchObject({ code: 'MODEL_DOWNLOAD_FAILED' });
    expect(server.requests).toHaveLength(1);
  });

  it('leaves nothing where nothing came', async () => {
    await server.stop();
    const error = await refusal(pull());
    expect(error.message).toMatch(/failed: .*ECONNREFUSED/);
    expect(files()).toEqual([]);
  });
});

describe('what is resumed', () => {
  const begun = async () => {
    server.next.push(first(1000, 'reset'), status(404));
    await refusal(pull());
    expect(files()).toEqual(RESUMABLE);
  };

  it('restarts if the server has another file by now', async () => {
    server.file = others;
    await begun();
    server.file = weights;
    server.etag = '"two"';
    await pull();
    expect(ranges().at(-1)).toBe('bytes=1000-');
    expect(content().equals(weights)).toBe(true);
  });

  it('restarts if the server claims that it is the same file, and it is not', async () => {
    server.file = others;
    await begun();
    server.file = weights;
    await pull();
    expect(ranges().slice(-2)).toEqual(['bytes=1000-', undefined]);
    expect(content().equals(weights)).toBe(true);
  });

  it('restarts if it was begun from another address', async () => {
    await begun();
    const other = await startFileServer(weights);
    await pull([card()], { mirrorUrl: other.url });
    expect(other.requests).toEqual([{ path: '/mine.onnx', range: undefined }]);
    await other.stop();
  });

  it.each(['', 'null', '{"url":', '{"url":1,"validator":{}}'])(
    'restarts if its origin is %j',
    async (origin) => {
      await begun();
      writeFileSync(join(dir, 'mine.onnx.part.json'), origin);
      await pull();
      expect(ranges().at(-1)).toBeUndefined();
      expect(content().equals(weights)).toBe(true);
    },
  );

  it('is not asked for where all of it had come', async () => {
    mkdirSync(dir);
    writeFileSync(join(dir, 'mine.onnx.part'), weights);
    await pull();
    expect(server.requests).toEqual([]);
    expect(files()).toEqual(['mine.onnx']);
  });

  it('restarts if the whole file had arrived but is wrong or too long', async () => {
    for (const part of [others, Buffer.concat([weights, others])]) {
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'mine.onnx.part'), part);
      await pull([card()], { force: true });
      expect(content().equals(weights)).toBe(true);
    }
    expect(ranges()).toEqual([undefined, undefined]);
  });
});

describe('a server that has not what the card pins', () => {
  const unsized = card({ bytes: undefined });
  it.each<[string, ModelCard, Behavior, RegExp]>([
    ['has no such file', card(), status(404), /it answers with status 404\.$/],
    ['forbids it', card(), status(403), /it answers with status 403\.$/],
    [
      'offers more',
      card(),
      withLength(SIZE + 1, Buffer.alloc(SIZE + 1)),
      /it offers 300001 bytes where 300000 are pinned\.$/,
    ],
    ['offers less', card(), withLength(SIZE - 1), /it offers 299999 bytes where 300000 are pinned\.$/],
    ['never ends', card(), endless, /it sends more than 300000 bytes\.$/],
    [
      'offers more than the limit',
      unsized,
      withLength(2 ** 32),
      /it offers 4294967296 bytes, over the limit of 268435456\.$/,
    ],
    ['redirects nowhere', card(), status(302), /it redirects to no URL\.$/],
    [
      'redirects to what is no URL',
      card(),
      status(302, { location: 'http://' }),
      /it redirects to no URL\.$/,
    ],
    [
      'redirects to a file of ours',
      card(),
      status(307, { location: 'file:///etc/passwd' }),
      /it leads to file:\/\/, which is not https\.$/,
    ],
  ])('is refused where it %s', async (_, mine, behavior, reason) => {
    server.next.push(behavior);
    const error = await refusal(pull([mine]));
    expect(error).toMatchObject({ code: 'MODEL_DOWNLOAD_FAILED', message: expect.stringMatching(reason) });
    expect(server.requests).toHaveLength(1);
    expect(files().filter((file) => !RESUMABLE.includes(file))).toEqual([]);
  });

  it('is refused where it redirects in a circle', async () => {
    server.next.push(...Array<Behavior>(9).fill(status(301, { location: '/mine.onnx' })));
    const error = await refusal(pull());
    expect(error.message).toMatch(/it redirects more than 5 times\.$/);
    expect(server.requests).toHaveLength(6);
    expect(files()).toEqual([]);
  });

  it('is followed to another address within five redirects', async () => {
    const other = await startFileServer(weights);
    server.next.push(
      ...Array<Behavior>(4).fill(status(308, { location: '/x' })),
      status(302, { location: `${other.url}y` }),
    );
    await pull();
    expect(other.requests).toEqual([{ path: '/y', range: undefined }]);
    await other.stop();
  });

  it.each<[string, ModelCard]>([
    ['of the right size', card()],
    ['of no pinned size', unsized],
  ])('is refused where it has another file %s, with both hashes and without a trace', async (_, mine) => {
    server.file = others;
    const error = await refusal(pull([mine]));
    expect(error).toMatchObject({
      code: 'MODEL_CHECKSUM_MISMATCH',
      details: { file: 'mine.onnx', model: 'mine', expected: sha256(weights), received: sha256(others) },
    });
    expect(files()).toEqual([]);
    expect(server.requests).toHaveLength(1);
  });

  it('leaves the file that is there', async () => {
    await pull();
    server.file = others;
    await refusal(pull([card()], { force: true }));
    expect(content().equals(weights)).toBe(true);
    expect(files()).toEqual(['mine.onnx']);
  });
});

it('takes nothing over http from where the operator did not name it', async () => {
  const mine = card({ download: { url: `${server.url}mine.onnx` } });
  const error = await refusal(pull([mine], { mirrorUrl: null }));
  expect(error.message).toMatch(/it leads to http:\/\/127\.0\.0\.1:\d+, which is not https\.$/);
  expect(server.requests).toEqual([]);
});

it('does no harm where the same model is pulled twice at once', async () => {
  let release = () => undefined as void;
  server.next.push((response, file, request) => {
    release = () => honest(server.etag)(response, file, request, server);
  });
  const one = pull();
  while (server.requests.length === 0) await new Promise(setImmediate);
  const two = pull();
  while (notices.length === 0) await new Promise(setImmediate);
  release();
  expect(await Promise.all([one, two])).toMatchObject([[{ state: 'pulled' }], [{ state: 'present' }]]);
  expect(notices).toEqual(['waiting for another pull of mine.onnx']);
  expect(server.requests).toHaveLength(1);
  expect(content().equals(weights)).toBe(true);
  expect(files()).toEqual(['mine.onnx']);
});

it('takes over where the pull that it waits for fails', async () => {
  let fail = () => undefined as void;
  server.next.push((response) => {
    fail = () => response.writeHead(404).end() as never;
  });
  const one = refusal(pull());
  while (server.requests.length === 0) await new Promise(setImmediate);
  const two = pull();
  while (notices.length === 0) await new Promise(setImmediate);
  fail();
  expect((await one).code).toBe('MODEL_DOWNLOAD_FAILED');
  expect(await two).toMatchObject([{ state: 'pulled' }]);
  expect(files()).toEqual(['mine.onnx']);
});

describe('a proxy', () => {
  it('is followed, and not where NO_PROXY says so', async () => {
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(`${request.headers['proxy-authorization']} ${request.url}`);
      response.end(weights);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    process.env.HTTP_PROXY = `http://user:pass@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await pull([card()], { mirrorUrl: 'http://mirror.invalid/models/' });
    process.env.NO_PROXY = '127.0.0.1';
    await pull([card()], { force: true });
    expect(seen).toEqual([
      `Basic ${Buffer.from('user:pass').toString('base64')} http://mirror.invalid/models/mine.onnx`,
    ]);
    expect(server.requests).toHaveLength(1);
    proxy.closeAllConnections();
    proxy.close();
  });

  it.each(['socks5://user:secret@127.0.0.1:1', 'http://user:secret@:x'])(
    'that is none (%s) is not shown',
    async (url) => {
      process.env.HTTP_PROXY = url;
      const error = await refusal(pull());
      expect(error.message).toMatch(
        /failed: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no URL of an http or https proxy\.$/,
      );
      expect(JSON.stringify([error.message, error.details, notices])).not.toContain('secret');
    },
  );
});

describe('a license that forbids commercial use', () => {
  const license = { name: 'Research license', commercialUse: false, note: 'For research only.' };
  const mine = card({ license });

  it('must be accepted, before anything is fetched', async () => {
    const error = await refusal(pull([card({ name: 'free', file: 'free.onnx' }), mine]));
    expect(error).toMatchObject({
      code: 'MODEL_LICENSE_NOT_ACCEPTED',
      message: expect.stringContaining(
        '(Research license) does not allow commercial use. For research only. If your use complies with it, repeat with --accept-license',
      ),
      details: { model: 'mine', license },
    });
    expect([server.requests, files()]).toEqual([[], []]);
    expect(await pull([mine], { acceptLicense: true })).toMatchObject([{ state: 'pulled', license }]);
  });

  it('is not asked about where the file is there already', async () => {
    await pull([mine], { acceptLicense: true });
    expect(await pull([mine])).toMatchObject([{ state: 'present', license }]);
  });
});

describe('a model that cannot be pulled', () => {
  it.each<[string, ModelCard, Partial<PullOptions>, string, RegExp]>([
    [
      'has no card',
      card({ name: 'other' }),
      {},
      'MODEL_UNKNOWN',
      /"mine": no card has that name\. Known: other\.$/,
    ],
    ['is compiled', card({ compiled: true }), {}, 'MODEL_UNKNOWN', /use `likeness models compile`/],
    [
      'is published nowhere',
      card({ download: undefined }),
      { mirrorUrl: null },
      'MODEL_NOT_FOUND',
      /has no download URL .* --from\.$/,
    ],
    ['pins no sha256', card({ sha256: undefined }), {}, 'MODEL_INVALID', /has no sha256, .* --sha256/],
    ['pins another', card(), { sha256: sha256(others) }, 'PARAMETER_INVALID', /--sha256/],
  ])('is named where it %s', async (_, mine, options, code, message) => {
    const error = await refusal(pull([mine], options, ['mine']));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(server.requests).toEqual([]);
  });

  it('is named where one sha256 is given for two', async () => {
    const two = [card({ sha256: undefined }), card({ name: 'other' })];
    expect(await refusal(pull(two, { sha256: sha256(weights) }))).toMatchObject({
      code: 'PARAMETER_INVALID',
    });
  });
});

it('writes a card with the sha256 that the operator vouches for', async () => {
  const unpinned = card({ sha256: undefined, bytes: undefined });
  server.file = others;
  const given = { sha256: sha256(weights) };
  expect(await refusal(pull([unpinned], given))).toMatchObject({ code: 'MODEL_CHECKSUM_MISMATCH' });
  expect(files()).toEqual([]);
  server.file = weights;
  await pull([unpinned], given);
  rmSync(join(dir, 'cards'), { recursive: true });
  // Also if the file already exists.
  expect(await pull([unpinned], given)).toMatchObject([{ state: 'present' }]);
  expect(JSON.parse(readFileSync(join(dir, 'cards', 'mine.json'), 'utf8'))).toEqual({
    ...JSON.parse(JSON.stringify(unpinned)),
    ...given,
    bytes: SIZE,
  });
});

describe('a pack', () => {
  const zip = makeZip([
    { name: 'pack/det.onnx', content: weights },
    { name: 'pack/rec.onnx', content: others },
    { name: 'pack/age.onnx', content: Buffer.from('age') },
  ]);
  const inPack = (name: string, entry: string, bytes: Buffer, pack = zip) =>
    card({
      name,
      file: `${name}.onnx`,
      sha256: sha256(bytes),
      bytes: bytes.length,
      download: { url: 'https://publisher.example/v1/pack.zip', pack: { entry, sha256: sha256(pack) } },
    });
  const cards = [inPack('det', 'det.onnx', weights), inPack('rec', 'rec.onnx', others)];
  const expectBoth = () => {
    expect(files()).toEqual(['det.onnx', 'rec.onnx']);
    expect([content('det.onnx').equals(weights), content('rec.onnx').equals(others)]).toEqual([true, true]);
  };

  it('is downloaded once for all models in it, and only those are kept', async () => {
    server.file = zip;
    expect(await pull(cards)).toMatchObject([
      { name: 'det', state: 'pulled' },
      { name: 'rec', state: 'pulled' },
    ]);
    expect(server.requests).toEqual([{ path: '/pack.zip', range: undefined }]);
    expectBoth();
  });

  it('is resumed', async () => {
    server.file = zip;
    server.next.push(first(100_000, 'reset'));
    await pull(cards);
    expect(ranges()).toEqual([undefined, 'bytes=100000-']);
    expectBoth();
  });

  it('is opened, not downloaded again, where all of it had come', async () => {
    server.file = zip;
    server.next.push(first(1000, 'reset'), status(404));
    await refusal(pull(cards));
    writeFileSync(join(dir, 'pack.zip.part'), zip);
    await pull(cards);
    expect(ranges().slice(2)).toEqual([`bytes=${zip.length}-`]);
    expectBoth();
  });

  it('is refused with another sha256, unopened', async () => {
    server.file = makeZip([{ name: 'det.onnx', content: weights }]);
    const error = await refusal(pull(cards));
    expect(error).toMatchObject({
      code: 'MODEL_CHECKSUM_MISMATCH',
      details: { file: 'pack.zip', expected: sha256(zip), received: sha256(server.file) },
    });
    expect(files()).toEqual([]);
  });

  it.each<[string, Buffer, string]>([
    [
      'is unsafe',
      makeZip([{ name: 'det.onnx', content: weights }, { name: '../x' }]),
      'MODEL_ARCHIVE_INVALID',
    ],
    ['lacks the file', makeZip([{ name: 'rec.onnx', content: others }]), 'MODEL_ARCHIVE_INVALID'],
    [
      'has another file of that name',
      makeZip([{ name: 'det.onnx', content: others }]),
      'MODEL_CHECKSUM_MISMATCH',
    ],
    [
      'has a longer file of that name',
      makeZip([{ name: 'det.onnx', content: Buffer.concat([weights, others]) }]),
      'MODEL_CHECKSUM_MISMATCH',
    ],
    ['is none', Buffer.from('no zip'), 'MODEL_ARCHIVE_INVALID'],
  ])('is refused without a trace where it %s, however well pinned', async (_, pack, code) => {
    server.file = pack;
    const mine = inPack('det', 'det.onnx', weights, pack);
    expect(await refusal(pull([mine]))).toMatchObject({ code });
    expect(files()).toEqual([]);
    const from = makeFolder();
    writeFileSync(join(from, 'pack.zip'), pack);
    expect(await refusal(pull([mine], { from }))).toMatchObject({ code });
    expect(files()).toEqual([]);
  });

  it('is taken from a folder, and so are its files', async () => {
    const from = makeFolder();
    writeFileSync(join(from, 'pack.zip'), zip);
    await pull(cards, { from });
    expectBoth();
    const unpacked = makeFolder();
    writeFileSync(join(unpacked, 'det.onnx'), weights);
    writeFileSync(join(unpacked, 'rec.onnx'), others);
    await pull(cards, { from: unpacked, force: true });
    expectBoth();
    expect(readdirSync(from)).toEqual(['pack.zip']);
    expect(server.requests).toEqual([]);
  });

  it('is refused from a folder where it is another', async () => {
    const from = makeFolder();
    writeFileSync(join(from, 'pack.zip'), makeZip([{ name: 'det.onnx', content: weights }]));
    expect(await refusal(pull(cards, { from }))).toMatchObject({ code: 'MODEL_CHECKSUM_MISMATCH' });
    expect(files()).toEqual([]);
  });
});

describe('a folder', () => {
  it('gives the file that the card pins, and keeps its own', async () => {
    const from = makeFolder();
    writeFileSync(join(from, 'mine.onnx'), weights);
    expect(await pull([card({ download: undefined })], { from, mirrorUrl: null })).toMatchObject([
      { state: 'pulled' },
    ]);
    expect(content().equals(weights)).toBe(true);
    expect([readdirSync(from), server.requests]).toEqual([['mine.onnx'], []]);
  });

  it.each<[string, Buffer | null, string]>([
    ['has another file', others, 'MODEL_CHECKSUM_MISMATCH'],
    ['has a longer file', Buffer.concat([weights, weights]), 'MODEL_CHECKSUM_MISMATCH'],
    ['has a shorter file', weights.subarray(1), 'MODEL_CHECKSUM_MISMATCH'],
    ['has no such file', null, 'MODEL_NOT_FOUND'],
  ])('is refused without a trace where it %s', async (_, bytes, code) => {
    const from = makeFolder();
    if (bytes != null) writeFileSync(join(from, 'mine.onnx'), bytes);
    const error = await refusal(pull([card()], { from }));
    expect(error).toMatchObject({ code, details: { model: 'mine', file: 'mine.onnx' } });
    expect(`${error.message}${JSON.stringify(error.details)}`).not.toContain(basename(from));
    expect(files()).toEqual([]);
  });
});
