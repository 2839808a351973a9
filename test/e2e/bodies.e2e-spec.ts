import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { BodyReader } from '../../src/server/http/images/body-reader';
import { FaceError } from '../../src/errors';
import { createApp, type TestApp } from '../support/create-app';
import { exampleAddress } from '../support/example-address';
import { describeWithShared, sharedDir } from '../support/shared';

const ADMIN_KEY = 'a-key-of-the-test-suite';
const UPLOAD_BYTES = 4 * 1024 * 1024;
const photo = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3]);
const hostile = join(sharedDir ?? '', 'hostile');

interface Operation {
  requestBody?: { content: Record<string, unknown> };
}

jest.setTimeout(15_000);
describe('bodies', () => {
  let service: TestApp;
  let routes: { method: 'post' | 'put' | 'patch'; path: string }[];
  let port: number;

  beforeAll(async () => {
    service = await createApp({ ADMIN_KEY, FACE_UPLOAD_BYTES: String(UPLOAD_BYTES) });
    service.model.addImage(photo, { faces: [{ person: 'anyone' }] });
    ({ port } = service.app.getHttpServer().address() as AddressInfo);
    const { body } = await service.http.get('/openapi.json');
    const paths = body.paths as Record<string, Record<string, Operation>>;
    routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { requestBody }]) => requestBody?.content['application/json'] != null)
        .map(([method]) => ({
          method: method as 'post',
          path: exampleAddress(path),
        })),
    );
  });
  afterAll(() => service.app.close());

  const send = ({ method, path }: (typeof routes)[number], body: Buffer | string) =>
    service.http[method](path)
      .set('authorization', `Bearer ${ADMIN_KEY}`)
      .set('content-type', 'application/json')
      .send(body);
  const codeOf = (body: { error?: { code?: string } | string; exception?: string }) =>
    typeof body.error === 'object' ? body.error.code : 'deepface';

  it('knows routes with a body', () => expect(routes.length).toBeGreaterThan(20));

  it('are read by every route that documents one: malformed, deep, or with a reserved key, each is a 400', async () => {
    const deep = `{"a":${'['.repeat(2000)}${']'.repeat(2000)}}`;
    const flat = '{"a":[' + '0,'.repeat(1_200_000) + '0]}';
    for (const [body, statuses] of [
      ['{', [400]],
      [deep, [400]],
      ['{"metadata":{"constructor":"x"}}', [400]],
      [flat, [413]],
    ] as const) {
      for (const route of routes) {
        const { status } = await send(route, body);
        expect([route.path, body.slice(0, 10), status]).toEqual([route.path, body.slice(0, 10), statuses[0]]);
      }
    }
  });

  it('that are compressed are refused on every route, and never inflated', async () => {
    const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024, ' '));
    for (const route of [...routes, { method: 'post', path: '/admin/galleries/default/import' } as const]) {
      const { status, body } = await send(route, bomb).set('content-encoding', 'gzip');
      expect([route.path, [400, 415].includes(status)]).toEqual([route.path, true]);
      expect(['CONTENT_TYPE_UNSUPPORTED', 'deepface']).toContain(codeOf(body));
    }
  });

  it('over 1 MiB are taken only where an image or embeddings belong', async () => {
    const large = `{"a":"${'x'.repeat(1024 * 1024)}"}`;
    for (const route of routes) {
      const { status } = await send(route, large);
      const takesMore =
        !/(metadata|galleries(\/default)?|subjects\/[^/]+|rename|references\/[^/]+|load|swap|index|migration|migration\/switch)$/.test(
          route.path,
        );
      expect([route.path, status === 413]).toEqual([route.path, !takesMore]);
    }
  });

  it('are not read where there is no route, or no right to it', async () => {
    const read = jest.spyOn(service.app.get(BodyReader), 'read');
    await service.http.post('/nowhere').send({ a: 1 }).expect(404);
    await service.http.post('/admin/models/yunet/load').send({ a: 1 }).expect(401);
    await service.http.post('/admin/models/yunet/warm').send({ a: 1 }).expect(401);
    expect(read).not.toHaveBeenCalled();
    read.mockRestore();
  });

  describe.each(['__proto__', 'constructor', 'prototype'])('with the key %s', (key) => {
    const fields = { fields: { [`filter.${key}`]: expect.any(String) } };
    const filter = `{"${key}":"x"}`;

    it('are refused alike in JSON, multipart and a query', async () => {
      const probe = photo.toString('base64');
      const path = '/v1/galleries/default/identify';
      const json = send({ method: 'post', path }, `{"probe":"${probe}","filter":${filter}}`);
      const form = service.http.post(path).attach('probe', photo, 'p').field('filter', filter);
      const query = service.http.get('/v1/galleries/default/subjects').query({ filter });
      for (const test of [json, form, query]) {
        const { status, body } = await test;
        expect([status, body.error]).toEqual([
          400,
          { code: 'PARAMETER_INVALID', message: expect.any(String), details: fields },
        ]);
      }
    });

    it('as an option is refused alike in JSON and multipart', async () => {
      const json = await send({ method: 'post', path: '/v1/detect' }, `{"${key}":"x"}`);
      const form = await service.http.post('/v1/detect').attach('image', photo, 'p').field(key, 'x');
      for (const { status, body } of [json, form]) {
        expect([status, body.error.code]).toEqual([400, 'PARAMETER_INVALID']);
      }
    });
  });

  it.each(['', '; filename=""', '; filename="photo.jpg"'])('take an image part with%s', async (filename) => {
    const body = Buffer.concat([
      Buffer.from(`--x\r\nContent-Disposition: form-data; name="image"${filename}\r\n`),
      Buffer.from('Content-Type: image/jpeg\r\n\r\n'),
      photo,
      Buffer.from('\r\n--x--\r\n'),
    ]);
    const test = service.http.post('/v1/detect').set('content-type', 'multipart/form-data; boundary=x');
    expect((await test.send(body)).body).toMatchObject({ faceCount: 1 });
  });

  describe('under way', () => {
    const clients: Socket[] = [];
    afterEach(async () => {
      for (const client of clients.splice(0)) client.destroy();
      await until(() => service.app.get(BodyReader).heldBytes === 0);
    });

    /** A client that announces a body of `announced` bytes and sends `sent` of them. */
    function upload(announced: number, sent: number): { socket: Socket; answer: () => string } {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      clients.push(socket);
      const head = `POST /v1/represent HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n`;
      socket.write(`${head}content-length: ${announced}\r\n\r\n`);
      socket.write(Buffer.alloc(sent, 'a'));
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      return { socket, answer: () => answer };
    }
    async function until(isSo: () => boolean): Promise<void> {
      for (let tries = 0; !isSo() && tries < 500; tries++) await sleep(10);
      expect(isSo()).toBe(true);
    }

    it('are counted in one account, and refused before they are read where it has no room', async () => {
      const half = UPLOAD_BYTES / 2;
      upload(half, half - 10_000);
      await until(() => service.app.get(BodyReader).heldBytes === half - 10_000);
      const second = upload(half, 0);
      await once(second.socket, 'close');
      expect(second.answer()).toMatch(/^HTTP\/1.1 429 /);
      expect(second.answer()).toMatch(/\r\nRetry-After: \d+\r\n/);
      expect(second.answer()).toMatch(/\r\nConnection: close\r\n/);
      expect(second.answer()).toContain('"CALLER_QUEUE_FULL"');
      // A small one has room beside it.
      await service.http.post('/v1/detect').attach('image', photo, 'p').expect(200);
      expect(service.app.get(BodyReader).heldBytes).toBe(half - 10_000);
    });

    it('are given up where all together grow over the account, and what they held is free again', async () => {
      const uploads = Array.from({ length: 8 }, () => upload(UPLOAD_BYTES / 2, UPLOAD_BYTES / 2 - 1));
      await until(() => uploads.filter(({ answer }) => answer() !== '').length >= 6);
      expect(service.app.get(BodyReader).heldBytes).toBeLessThanOrEqual(UPLOAD_BYTES);
      for (const { answer } of uploads) expect(answer()).toMatch(/^(HTTP\/1.1 (429|503) |$)/);
      for (const { socket } of uploads) socket.destroy();
      await until(() => service.app.get(BodyReader).heldBytes === 0);
      await service.http.post('/v1/detect').attach('image', photo, 'p').expect(200);
    });

    it('with images are refused before they are read while the queue is full', async () => {
      const details = { retryAfterSeconds: 7 };
      const refusal = jest
        .spyOn(service.model, 'refusal')
        .mockReturnValue(new FaceError('QUEUE_FULL', 'The queue is full.', details));
      const { socket, answer } = upload(200_000, 0);
      await once(socket, 'close');
      expect(answer()).toMatch(/^HTTP\/1.1 503 /);
      expect(answer()).toMatch(/\r\nRetry-After: 7\r\n/);
      expect(answer()).toMatch(/\r\nConnection: close\r\n/);
      expect(answer()).toContain('"QUEUE_FULL"');
      const padding = '!'.repeat(100_000);
      await service.http.post('/v1/detect').send({ image: padding }).expect(503);
      await service.http.post('/represent').send({ img: padding }).expect(503);
      // Two embeddings need no worker.
      await service.http.post('/v1/verify').send({ probe: padding, reference: padding }).expect(400);
      await service.http.post('/v1/detect').attach('image', photo, 'p').expect(200);
      refusal.mockRestore();
    });

    it('that are larger than their route takes are refused before they are read', async () => {
      const { socket, answer } = upload(UPLOAD_BYTES + 1, 0);
      await once(socket, 'close');
      expect(answer()).toMatch(/^HTTP\/1.1 413 [^]*REQUEST_TOO_LARGE/);
    });
  });

  describeWithShared('of the hostile files', () => {
    it.each(['json-flat-33MB.json.gz', 'json-nested-33MB.json.gz', 'json-depth-2000-gives-500.json'])(
      '%s is a refusal, packed and as it is',
      async (name) => {
        const file = join(hostile, name);
        expect(existsSync(file)).toBe(true);
        const bytes = readFileSync(file);
        const isPacked = name.endsWith('.gz');
        for (const path of ['/nowhere', '/v1/detect', '/v1/galleries', '/v1/distances']) {
          const test = send({ method: 'post', path }, bytes);
          const { status } = await (isPacked ? test.set('content-encoding', 'gzip') : test);
          expect([path, status]).toEqual([path, path === '/nowhere' ? 404 : isPacked ? 415 : 400]);
        }
      },
    );
  });
});
