import { Global, Injectable, Module } from '@nestjs/common';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FaceModel, FaceModule, LikenessServerModule, type LikenessServerOptions } from '../../src';
import { generateKey, sha256 } from '../../src/server/http/auth/key-file';
import { FakeFaceModel } from '../../src/testing';
import { HOST_HEADER, type HostApp, hostModule, otherPhoto, photo, startHost } from '../support/host-app';
import { writeKeyFile } from '../support/key-file';
import { rootDir } from '../support/paths';

/* The whole server as a module of another Nest app, which has everything of its own. */

const json = (image: Buffer) => image.toString('base64');
const SHUTDOWN_DELAY_MS = 1000;
const OPEN = { prefix: '/face', keys: false } as const;

describe.each(['express', 'fastify'] as const)('LikenessServerModule on %s', (platform) => {
  const settings = { FACE_SHUTDOWN_DELAY_MS: SHUTDOWN_DELAY_MS };
  let host: HostApp;
  beforeAll(
    async () => (host = await startHost(platform, LikenessServerModule.forRoot({ ...OPEN, settings }))),
  );
  afterAll(() => host?.app.close());

  const ofHost = (method: 'get' | 'post', path: string) =>
    host.http[method](`/api/host/${path}`).set(HOST_HEADER, 'me');

  it('verifies photos over the body limits of the host, as JSON and as files', async () => {
    const { body } = await host.http
      .post('/face/v1/verify')
      .send({ probe: json(photo), reference: json(otherPhoto) })
      .expect(200);
    expect(body).toMatchObject({ verified: false, requestId: expect.any(String) });
    const { body: ofFiles } = await host.http
      .post('/face/v1/verify')
      .attach('probe', photo, 'a.jpg')
      .attach('reference', photo, 'b.jpg')
      .expect(200);
    expect(ofFiles).toMatchObject({ verified: true, distance: 0 });
  });

  it('serves the DeepFace API, health and metrics under the prefix', async () => {
    const { body } = await host.http
      .post('/face/verify')
      .send({ img1: json(photo), img2: json(photo) })
      .expect(200);
    expect(body.verified).toBe(true);
    await host.http.get('/face/health/ready').expect(200, { status: 'ready' });
    const { text } = await host.http.get('/face/metrics').expect(200);
    expect(text).toContain('route="/v1/verify"');
  });

  it('serves Swagger UI, whose requests go to the prefix', async () => {
    const { text } = await host.http.get('/face/docs').expect(200);
    const [, script] = /src="\.\/(docs\/swagger-ui-init\.js)"/.exec(text)!;
    await host.http.get(`/face/${script}`).expect(200);
    const { body } = await host.http.get('/face/openapi.json').expect(200);
    expect(body.servers).toEqual([{ url: '/face' }]);
    expect(body.paths['/v1/verify']).toBeDefined();
  });

  it('redirects the prefix to its folder, for relative links', async () => {
    const { headers } = await host.http.get('/face?a=1').expect(308);
    expect(headers.location).toBe('face/?a=1');
    await host.http.get('/face/').expect(200);
  });

  it('answers unknown routes under the prefix, and leaves others to the host', async () => {
    const { body } = await host.http.get('/face/nothing').expect(404);
    expect(body.error.code).toBe('NOT_FOUND');
    for (const path of ['/nothing', '/faces', '/v1/models', '/api/face/v1/models', '/FACE/v1/models']) {
      const answer = await host.http.get(path).set(HOST_HEADER, 'me').expect(404);
      expect(answer.body).toEqual({ statusCode: 404, error: 'Not Found', message: `Cannot GET ${path}` });
    }
  });

  it('adds nothing to the answers of the host', async () => {
    const { body, headers } = await ofHost('get', 'verified').expect(200);
    expect(body).toEqual({ data: { verified: true } });
    const ours = await host.http.get('/face/v1/models').expect(200);
    for (const name of ['x-request-id', 'x-content-type-options', 'cache-control']) {
      expect([name, ours.headers[name]]).toEqual([name, expect.any(String)]);
      expect([name, headers[name]]).toEqual([name, undefined]);
    }
    const page = await host.http.get('/face/docs');
    expect(page.headers['content-security-policy']).toBeDefined();
    expect(headers['content-security-policy']).toBeUndefined();
  });

  it('keeps body limit, pipes and guards of the host to its own routes', async () => {
    await ofHost('post', 'echo')
      .send({ text: 'hello' })
      .expect(201, { data: { length: 5 } });
    await ofHost('post', 'echo').send({ text: 'hello', more: 1 }).expect(400);
    await ofHost('post', 'echo')
      .send({ text: json(photo) })
      .expect(413);
    await host.http.get('/api/host/verified').expect(403);
  });

  it('answers a FaceError of a host controller by its code, and other errors as Nest does', async () => {
    const { body } = await ofHost('get', 'not-verifiable').expect(422);
    expect(body).toEqual({
      error: {
        code: 'FACE_NOT_DETECTED',
        message: expect.any(String),
        details: expect.objectContaining({ field: 'reference' }),
      },
    });
    await ofHost('get', 'broken').expect(500, { statusCode: 500, message: 'Internal server error' });
  });

  it('shares galleries with the host', async () => {
    await ofHost('post', 'alice').expect(201, { data: { subjectId: 'alice' } });
    const { body } = await host.http
      .post('/face/v1/galleries/staff/identify')
      .send({ probe: json(photo) })
      .expect(200);
    expect(body.faces[0].candidates[0].subjectId).toBe('alice');
  });

  it('fails readiness during the shutdown, and closes the model once', async () => {
    const close = jest.spyOn(host.model, 'close');
    const ready = `${await host.app.getUrl()}/face/health/ready`;
    expect((await fetch(ready)).status).toBe(200);
    const closing = host.app.close();
    await sleep(SHUTDOWN_DELAY_MS / 2);
    const answer = await fetch(ready);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      expect.objectContaining({ error: expect.objectContaining({ details: { reason: 'shutting down' } }) }),
    ]);
    expect(close).not.toHaveBeenCalled();
    await closing;
    expect(close).toHaveBeenCalledTimes(1);
  });
});

describe('options of LikenessServerModule', () => {
  const hosts: HostApp[] = [];
  const start = async (options: LikenessServerOptions) => {
    const host = await startHost('express', LikenessServerModule.forRoot(options));
    hosts.push(host);
    return host.http;
  };
  afterEach(() => Promise.all(hosts.splice(0).map(({ app }) => app.close())));

  it('takes keys as a list', async () => {
    const key = generateKey();
    const entry = { name: 'door', sha256: sha256(key).toString('hex'), scopes: ['read' as const] };
    const http = await start({
      prefix: '/face',
      keys: [entry],
      adminKey: 'key-of-the-operator',
    });
    await http.get('/face/v1/models').expect(401);
    await http.get('/face/v1/models').set('x-api-key', key).expect(200);
    const { body } = await http
      .post('/face/v1/verify')
      .set('x-api-key', key)
      .send({ probe: json(photo), reference: json(photo) })
      .expect(403);
    expect(body.error.details).toEqual({ scopes: ['verify'] });
    await http.get('/face/admin/status').set('Authorization', 'Bearer key-of-the-operator').expect(200);
    await http.get('/face/health/live').expect(200);
    await http.get('/face/docs').expect(200);
  });

  it('takes keys as a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'likeness-'));
    try {
      const { file, keys } = writeKeyFile(folder, { door: { scopes: ['read'] } });
      const http = await start({ prefix: 'face/', keys: file });
      await http.get('/face/v1/models').expect(401);
      await http.get('/face/v1/models').set('x-api-key', keys.door).expect(200);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has the routes of its features only, at a prefix of several segments', async () => {
    const http = await start({ ...OPEN, prefix: '/api/v2/face', features: ['verify'] });
    await http.post('/api/v2/face/v1/detect').attach('image', photo, 'a.jpg').expect(404);
    const { body } = await http.get('/api/v2/face/openapi.json').expect(200);
    expect(Object.keys(body.paths)).not.toContain('/v1/detect');
    const { headers } = await http.get('/api/v2/face').expect(308);
    expect(headers.location).toBe('face/');
  });

  it('takes the other settings by the names of the environment, and ignores port and log of the host', async () => {
    const settings = { FACE_MAX_IMAGE_BYTES: 1_000_000, FACE_REQUESTS_PER_MINUTE: '1' };
    const http = await start({ ...OPEN, settings: { ...settings, ...{ LOG_LEVEL: 'info', PORT: 'x' } } });
    const { body } = await http.post('/face/v1/represent').attach('image', photo, 'a.jpg').expect(413);
    expect(body.error.details.maxImageBytes).toBe(1_000_000);
    await http.get('/face/v1/models').expect(429);
  });

  it('takes options from a provider of the host', async () => {
    @Injectable()
    class HostConfig {
      readonly path = '/face';
    }
    @Global()
    @Module({ providers: [HostConfig], exports: [HostConfig] })
    class HostConfigModule {}
    const host = await startHost(
      'express',
      LikenessServerModule.forRootAsync({
        imports: [HostConfigModule],
        inject: [HostConfig],
        useFactory: ({ path }: HostConfig) => ({ prefix: path, keys: false }),
      }),
    );
    hosts.push(host);
    await host.http.get('/face/health/ready').expect(200);
  });

  it.each<[what: string, options: object, message: RegExp, details: object]>([
    ['no keys', { prefix: '/face' }, /: keys is required: a key file/, { option: 'keys' }],
    ['an empty path of keys', { prefix: '/face', keys: '' }, /: keys is required/, { option: 'keys' }],
    [
      'keys and FACE_AUTH=off',
      { prefix: '/face', keys: [], settings: { FACE_AUTH: 'off' } },
      /keys and FACE_AUTH=off contradict each other/,
      { option: 'keys' },
    ],
    [
      'an invalid key',
      { prefix: '/face', keys: [{ name: 'A' }] },
      /Entry 1 of the API keys is invalid: `name`/,
      { entry: '1' },
    ],
    ['no prefix', { keys: false }, /: prefix must be a path/, { option: 'prefix' }],
    ['the root as prefix', { prefix: '/', keys: false }, /: prefix must be a path/, { option: 'prefix' }],
    [
      'dots in the prefix',
      { prefix: '/a/../b', keys: false },
      /: prefix must be a path/,
      { option: 'prefix' },
    ],
    [
      'an unknown feature',
      { ...OPEN, features: ['fly'] },
      /FACE_FEATURES must be/,
      { variable: 'FACE_FEATURES' },
    ],
    [
      'an unknown setting',
      { ...OPEN, settings: { FACE_WORKERS: 1 } },
      /FACE_WORKERS is not a variable/,
      { variable: 'FACE_WORKERS' },
    ],
  ])('refuses %s', async (_what, options, message, details) => {
    const starting = start(options as LikenessServerOptions);
    await expect(starting).rejects.toMatchObject({ message: expect.stringMatching(message), details });
  });

  it('refuses a second FaceModule, which would load every model again', async () => {
    const starting = startHost('express', LikenessServerModule.forRoot(OPEN), FaceModule.forRoot());
    await expect(starting).rejects.toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      message: expect.stringContaining('FaceModule'),
    });
  });

  it('lets scripts of the host use its providers without HTTP', async () => {
    const moduleRef = await hostModule(LikenessServerModule.forRoot(OPEN))
      .overrideProvider(FaceModel)
      .useValue(new FakeFaceModel())
      .compile();
    await moduleRef.init();
    expect(moduleRef.get(FaceModel)).toBeInstanceOf(FakeFaceModel);
    await moduleRef.close();
  });
});

describe('a built host app with the models', () => {
  it.each(['express', 'fastify'])('loads each of them once, and ends by itself, on %s', async (platform) => {
    const script = join(rootDir, 'test', 'support', 'built-host-app.mjs');
    const { stdout } = await promisify(execFile)(process.execPath, [script, platform]);
    const { loads, origins, ...seen } = JSON.parse(stdout.trim().split('\n').pop()!) as {
      loads: number[];
      origins: (string | null)[];
    };
    // The import of the package alone must not load the server.
    const expected = { isLight: true, isSame: true, workers: 1 };
    expect(seen).toEqual({ ...expected, answers: [200, 200, 404], crossSite: 403 });
    expect(new Set(loads)).toEqual(new Set([1]));
    // Nest answers preflight requests on Fastify before any middleware.
    const preflight = platform === 'fastify' ? 'https://app.example.com' : null;
    expect(origins).toEqual(['https://app.example.com', preflight]);
  });
});
