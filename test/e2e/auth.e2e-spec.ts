import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { ApiKeys } from '../../src/server/http/auth/api-keys';
import { FREE_FAILURES } from '../../src/server/http/auth/failed-keys';
import { generateKey } from '../../src/server/http/auth/key-file';
import { createApp, type TestApp } from '../support/create-app';
import { writeKeyFile } from '../support/key-file';
import { startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const ADMIN_KEY = 'a-key-of-the-test-suite';
const TOKEN = 'open-sesame';
const photo = Buffer.from('a photo: alice');
const dataUri = `data:image/jpeg;base64,${photo.toString('base64')}`;

describe('API keys', () => {
  const makeFolder = tempFolders();
  let service: TestApp;
  let keys: Record<string, string>;
  let file: string;

  beforeEach(async () => {
    ({ file, keys } = writeKeyFile(makeFolder(), {
      door: { scopes: ['verify', 'identify', 'read'] },
      office: { scopes: ['read', 'enroll', 'identify', 'verify', 'delete'], galleries: ['staff', 'absent'] },
      kiosk: { scopes: ['verify', 'identify', 'enroll'], maySetThresholds: false },
      blind: { scopes: ['verify', 'identify', 'enroll'], maySeeDistances: false },
      past: { scopes: ['read', 'metrics'], expiresAt: '2020-01-01T00:00:00Z' },
      guest: { scopes: ['read'], expiresAt: '2999-01-01T00:00:00+01:00' },
      all: { scopes: ['verify', 'read', 'identify', 'enroll', 'delete', 'embeddings', 'admin', 'metrics'] },
    }));
    service = await createApp({ FACE_API_KEYS_FILE: file, ADMIN_KEY, DEEPFACE_AUTH_TOKEN: TOKEN });
    service.model.addImage(photo, { faces: [{ person: 'alice' }] });
  });
  afterEach(() => service.app.close());

  const get = (path: string, key: string) => service.http.get(path).set('x-api-key', key);
  const post = (path: string, key: string, body: object) =>
    service.http.post(path).set('x-api-key', key).send(body);
  const outcome = ({ status, body }: { status: number; body: { error?: { code: string } } }) => [
    status,
    body.error?.code,
  ];

  it('come in Authorization or x-api-key, which wins', async () => {
    const list = () => service.http.get('/v1/galleries');
    expect((await list().set('authorization', `Bearer ${keys.door}`)).status).toBe(200);
    expect((await list().set('authorization', `bearer  ${keys.door}`)).status).toBe(200);
    expect((await list().set('x-api-key', keys.door)).status).toBe(200);
    const both = (bearer: string, header: string) =>
      list().set('authorization', `Bearer ${bearer}`).set('x-api-key', header);
    expect((await both('token-of-a-gateway', keys.door)).status).toBe(200);
    expect((await both(keys.door, 'wrong')).status).toBe(401);
  });

  it('are refused when wrong, and never repeated', async () => {
    for (const wrong of [
      '',
      'wrong',
      generateKey(),
      keys.door.slice(0, -1),
      `${keys.door}x`,
      keys.door.toUpperCase(),
    ]) {
      const response = await get('/v1/galleries', wrong);
      expect([wrong, ...outcome(response)]).toEqual([wrong, 401, 'UNAUTHORIZED']);
      expect(response.headers['www-authenticate']).toBe('Bearer realm="likeness"');
      if (wrong !== '') expect(response.text).not.toContain(wrong);
    }
  });

  it('are not opened by their hash', async () => {
    const { keys: entries } = JSON.parse(readFileSync(file, 'utf8')) as { keys: { sha256: string }[] };
    for (const { sha256 } of entries) expect((await get('/v1/models', sha256)).status).toBe(401);
  });

  /** Sends the head of an upload and none of its body. */
  const answerToHead = (path: string, key: string | null, type: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const { port } = service.app.getHttpServer().address() as AddressInfo;
      const socket = connect(port, '127.0.0.1', () => {
        const lines = [
          `POST ${path} HTTP/1.1`,
          'Host: localhost',
          `Content-Type: ${type}`,
          'Content-Length: 33000000',
          ...(key == null ? [] : [`x-api-key: ${key}`]),
        ];
        socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      });
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString().split('\r\n')[0]);
      });
      socket.once('error', reject);
    });

  it('are checked before a body arrives', async () => {
    const form = 'multipart/form-data; boundary=x';
    for (const path of ['/v1/verify', '/v1/galleries', '/verify', '/no-such-route']) {
      for (const type of ['application/json', form, 'application/x-www-form-urlencoded']) {
        expect(await answerToHead(path, null, type)).toContain(' 401 ');
        expect(await answerToHead(path, 'wrong', type)).toContain(' 401 ');
      }
    }
    expect(await answerToHead('/v1/represent', keys.door, form)).toContain(' 403 ');
    expect(await answerToHead('/v1/galleries/other/identify', keys.office, form)).toContain(' 403 ');
  });

  it('say which scope is missing', async () => {
    const { body } = await service.http
      .delete('/v1/galleries/default')
      .set('x-api-key', keys.door)
      .expect(403);
    expect(body.error).toEqual({
      code: 'FORBIDDEN',
      message: 'The key lacks the scope delete.',
      details: { scopes: ['delete'] },
    });
  });

  it('are limited to galleries', async () => {
    await post('/v1/galleries', keys.all, { id: 'staff' }).expect(201);
    await post('/v1/galleries', keys.all, { id: 'guests' }).expect(201);
    const enroll = (id: string) =>
      post(`/v1/galleries/${id}/subjects/ada/references`, keys.office, { image: dataUri });
    expect(outcome(await enroll('staff'))).toEqual([201, undefined]);
    for (const id of ['guests', 'default', 'STAFF', 'no-such-gallery']) {
      expect([id, ...outcome(await enroll(id))]).toEqual([id, 403, 'FORBIDDEN']);
      const shown = await get(`/v1/galleries/${id}`, keys.office);
      expect([id, ...outcome(shown), shown.body.error.details]).toEqual([
        id,
        403,
        'FORBIDDEN',
        { galleryId: id },
      ]);
    }
    expect(outcome(await post('/v1/galleries', keys.office, { id: 'mine' }))).toEqual([403, 'FORBIDDEN']);
    const { body } = await get('/v1/galleries?limit=1', keys.office).expect(200);
    expect([body.galleries, body.nextCursor]).toEqual([[], 'absent']);
    const next = await get('/v1/galleries?limit=1&cursor=absent', keys.office).expect(200);
    expect(next.body.galleries.map(({ id }: { id: string }) => id)).toEqual(['staff']);
    expect(next.body.nextCursor).toBeNull();
    // The gallery of the dialect has a name of its own.
    expect((await post('/register', keys.office, { img: dataUri, img_name: 'ada' })).status).toBe(403);
  });

  it('may be kept from setting thresholds', async () => {
    const pair = { probe: dataUri, reference: dataUri };
    expect(outcome(await post('/v1/verify', keys.kiosk, pair))).toEqual([200, undefined]);
    const fields = { threshold: 2, targetFmr: 0.5, reviewMargin: 0.1, presentationAttack: 'off' };
    for (const [name, value] of Object.entries(fields)) {
      const response = await post('/v1/verify', keys.kiosk, { ...pair, [name]: value });
      expect([...outcome(response), response.body.error.details]).toEqual([
        403,
        'FORBIDDEN',
        { fields: [name] },
      ]);
    }
    const form = service.http.post('/v1/verify').set('x-api-key', keys.kiosk);
    expect(
      (await form.attach('probe', photo).attach('reference', photo).field('threshold', '2')).status,
    ).toBe(403);
    const identify = '/v1/galleries/default/identify';
    expect(outcome(await post(identify, keys.kiosk, { probe: dataUri, targetFpir: 0.5 }))).toEqual([
      403,
      'FORBIDDEN',
    ]);
    const made = await post('/v1/galleries', keys.kiosk, { id: 'mine', threshold: 2 });
    expect(outcome(made)).toEqual([403, 'FORBIDDEN']);
    const dialect = await post('/verify', keys.kiosk, { img1: dataUri, img2: dataUri, threshold: 2 });
    expect([dialect.status, dialect.body]).toEqual([
      403,
      { message: 'The key is not allowed to set threshold.' },
    ]);
  });

  it('may be kept from distances', async () => {
    const pair = { probe: dataUri, reference: dataUri };
    const verified = (await post('/v1/verify', keys.blind, pair).expect(200)).body;
    expect(verified).toMatchObject({ verified: true, decision: 'match', distance: null, similarity: 1 });
    await post('/v1/galleries/default/subjects/ada/references', keys.all, { image: dataUri }).expect(201);
    const found = (await post('/v1/galleries/default/identify', keys.blind, { probe: dataUri }).expect(200))
      .body;
    expect(found.faces[0].candidates[0]).toMatchObject({ subjectId: 'ada', distance: null, similarity: 1 });
    const dialect = (await post('/verify', keys.blind, { img1: dataUri, img2: dataUri }).expect(200)).body;
    expect(dialect).toMatchObject({ verified: true, distance: null, confidence: null });
    const { contract } = verified as { contract: string };
    const distances = { probes: [[1]], references: [[1]], contract };
    expect(outcome(await post('/v1/distances', keys.blind, distances))).toEqual([403, 'FORBIDDEN']);
    const exact = (await post('/v1/verify', keys.door, pair).expect(200)).body;
    expect(exact.distance).toEqual(expect.any(Number));
  });

  it('of the environment have fixed scopes', async () => {
    expect((await get('/admin/status', ADMIN_KEY)).status).toBe(200);
    expect((await get('/admin/galleries/default/export', ADMIN_KEY)).status).toBe(200);
    expect((await get('/metrics', ADMIN_KEY)).status).toBe(200);
    expect(outcome(await get('/v1/galleries', ADMIN_KEY))).toEqual([403, 'FORBIDDEN']);
    expect((await post('/represent', TOKEN, { img: dataUri })).status).toBe(200);
    expect((await post('/register', TOKEN, { img: dataUri, img_name: 'ada' })).status).toBe(200);
    expect(outcome(await get('/admin/status', TOKEN))).toEqual([403, 'FORBIDDEN']);
    expect(outcome(await get('/v1/galleries', TOKEN))).toEqual([403, 'FORBIDDEN']);
  });

  it('slow an address down that brings wrong ones, but not holders of generated keys', async () => {
    for (let i = 0; i < FREE_FAILURES; i++)
      expect((await get('/admin/status', `guess-${i}`)).status).toBe(401);
    const refused = await get('/admin/status', 'guess');
    expect(outcome(refused)).toEqual([429, 'AUTH_ATTEMPTS_EXCEEDED']);
    expect(refused.headers['retry-after']).toBe('1');
    // The right one answers as a wrong one does, or guessing would go on.
    expect((await get('/admin/status', ADMIN_KEY)).status).toBe(429);
    expect((await post('/verify', TOKEN, {})).status).toBe(429);
    expect((await get('/admin/status', keys.all)).status).toBe(200);
    expect((await service.http.get('/v1/models')).status).toBe(401);
    expect((await service.http.get('/health/live')).status).toBe(200);
    await setTimeout(1000);
    expect((await get('/admin/status', ADMIN_KEY)).status).toBe(200);
  });

  it('are refused from their end on, with a code of its own, and slow nobody down', async () => {
    expect((await get('/v1/models', keys.guest)).status).toBe(200);
    for (let i = 0; i <= FREE_FAILURES; i++) {
      const refused = await get('/v1/models', keys.past);
      expect(outcome(refused)).toEqual([401, 'API_KEY_EXPIRED']);
      expect(refused.body.error.details).toEqual({ expiresAt: '2020-01-01T00:00:00.000Z' });
      expect(refused.headers['www-authenticate']).toMatch(/^Bearer/);
    }
    expect(outcome(await get('/v1/models', 'wrong'))).toEqual([401, 'UNAUTHORIZED']);
    // Where no key is needed it is as good as none.
    expect((await get('/health/live', keys.past)).status).toBe(200);
  });

  it('are read again, and stay when the file is broken', async () => {
    const text = readFileSync(file, 'utf8');
    const reload = () => service.app.get(ApiKeys).reload();
    for (const broken of ['', '{"keys": [', text.replace('"verify"', '"everything"')]) {
      writeFileSync(file, broken);
      reload();
      expect((await get('/v1/models', keys.door)).status).toBe(200);
    }
    const { keys: entries } = JSON.parse(text) as { keys: { name: string }[] };
    writeFileSync(file, JSON.stringify({ keys: entries.filter(({ name }) => name !== 'door') }));
    reload();
    expect((await get('/v1/models', keys.door)).status).toBe(401);
    expect((await get('/v1/models', keys.office)).status).toBe(200);
    writeFileSync(file, '{"keys": []}');
    reload();
    expect((await get('/v1/models', keys.office)).status).toBe(401);
  });

  it('are read again when the file changes', async () => {
    writeFileSync(file, '{"keys": []}');
    let status = 200;
    while (status === 200) {
      await setTimeout(100);
      ({ status } = await get('/v1/models', keys.door));
    }
    expect(status).toBe(401);
  });
});

describe('a service without a key file', () => {
  let service: TestApp;
  afterEach(() => service.app.close());

  it('leaves what no key of the environment guards open, also to those who bring any', async () => {
    service = await createApp({ ADMIN_KEY });
    for (const key of [undefined, 'wrong', ADMIN_KEY]) {
      const request = service.http.get('/v1/galleries');
      expect((key == null ? await request : await request.set('x-api-key', key)).status).toBe(200);
    }
    const refused = await service.http.get('/ADMIN/status/');
    expect(refused.status).toBe(401);
    const { status } = await service.http.get('/admin/status').set('x-api-key', ADMIN_KEY);
    expect(status).toBe(200);
  });
});

describe('the boot', () => {
  const makeFolder = tempFolders();

  it.each<[string, NodeJS.ProcessEnv, RegExp]>([
    [
      'a public HOST without keys, with both ways out',
      { HOST: '0.0.0.0' },
      /^The service ended with 1: FACE_OPTIONS_INVALID: HOST=0\.0\.0\.0 .*FACE_API_KEYS_FILE.*FACE_AUTH=off/,
    ],
    [
      'a public HOST with ADMIN_KEY alone',
      { HOST: '0.0.0.0', ADMIN_KEY },
      /^The service ended with 1: FACE_OPTIONS_INVALID: HOST=0\.0\.0\.0 /,
    ],
    [
      'an ADMIN_KEY that no client can send',
      { ADMIN_KEY: 'correct horse battery staple' },
      /^The service ended with 1: FACE_OPTIONS_INVALID: Environment variable ADMIN_KEY /,
    ],
    [
      'a key file that is absent',
      { FACE_API_KEYS_FILE: '/no/such/keys.json' },
      /^The service ended with 1: API_KEYS_INVALID: The API key file cannot be read: ENOENT\. Cause: ENOENT: .* open 'keys\.json'\n$/,
    ],
  ])('ends on %s, before models are loaded', async (_name, env, message) => {
    // The message is all that is written.
    await expect(startService(env)).rejects.toThrow(message);
  });

  it('ends on a wrong entry of the key file, and names it', async () => {
    const { file } = writeKeyFile(makeFolder(), { door: { scopes: ['everything' as 'verify'] } });
    await expect(startService({ FACE_API_KEYS_FILE: file })).rejects.toThrow(
      /^The service ended with 1: API_KEYS_INVALID: Entry 1 \("door"\) of the API keys is invalid: `scopes` /,
    );
  });

  it('goes on with FACE_AUTH=off, and says loudly what that means', async () => {
    const service = await startService({
      HOST: '0.0.0.0',
      FACE_AUTH: 'off',
      FACE_ATTRIBUTE_MODELS: '',
      FACE_WORKER_COUNT: '1',
    });
    expect(service.output()).toMatch(/"level":"warn".*FACE_AUTH=off: everyone who reaches 0\.0\.0\.0/);
    expect(await service.stop()).toBe(0);
  });

  it('reads the key file again on SIGHUP, and ends on SIGTERM', async () => {
    const folder = makeFolder();
    const { file, keys } = writeKeyFile(folder, { door: { scopes: ['verify'] } });
    const service = await startService({
      FACE_API_KEYS_FILE: file,
      HOST: '127.0.0.1',
      FACE_ATTRIBUTE_MODELS: '',
      FACE_WORKER_COUNT: '1',
    });
    const status = async (key: string) =>
      (await fetch(`${service.url}/v1/models`, { headers: { 'x-api-key': key } })).status;
    expect(await status(keys.door)).toBe(200);
    process.kill(service.pid, 'SIGHUP');
    while (!service.output().includes('read again 1 API key')) await setTimeout(20);
    const second = writeKeyFile(folder, { gate: { scopes: ['verify'] } });
    process.kill(service.pid, 'SIGHUP');
    while ((await status(second.keys.gate)) !== 200) await setTimeout(20);
    expect(await status(keys.door)).toBe(401);
    expect(await service.stop()).toBe(0);
    for (const key of [keys.door, second.keys.gate]) expect(service.output()).not.toContain(key);
  });
});
