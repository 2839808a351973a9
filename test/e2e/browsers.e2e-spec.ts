import { request as httpRequest } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { createApp, type TestApp } from '../support/create-app';

const image = Buffer.from('a good image');

/** Sends exactly these headers, as browsers do and HTTP clients of tests do not. */
function send(
  app: TestApp['app'],
  headers: Record<string, string>,
  { method = 'GET', path = '/v1/models', body = '' } = {},
): Promise<{ status: number; headers: Record<string, unknown>; code?: string }> {
  const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const call = httpRequest({ port, host: '127.0.0.1', method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isError = (response.statusCode as number) >= 400 && text !== '';
        const code = isError ? (JSON.parse(text) as { error: { code: string } }).error.code : undefined;
        resolve({ status: response.statusCode as number, headers: response.headers, code });
      });
    });
    call.once('error', reject);
    call.end(body);
  });
}

const multipart = {
  type: 'multipart/form-data; boundary=x',
  body: `--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n${image.toString()}\r\n--x--\r\n`,
};

describe('a service with the default settings', () => {
  let service: TestApp;

  beforeAll(async () => {
    service = await createApp({ HOST: 'face.internal' });
    service.model.addImage(image, { faces: [{ person: 'ada' }] });
  });
  afterAll(() => service.app.close());

  it.each([
    ['localhost'],
    ['localhost:3000'],
    ['LOCALHOST.'],
    ['app.localhost:3000'],
    ['127.0.0.1'],
    ['192.168.1.5:3000'],
    ['[::1]:3000'],
    ['[2001:db8::1]'],
    ['face.internal:3000'],
  ])('answers under the host %s', async (host) => {
    expect((await send(service.app, { host })).status).toBe(200);
  });

  it.each([
    ['attacker.example'],
    ['attacker.example:3000'],
    ['localhost.attacker.example'],
    ['127.0.0.1.attacker.example'],
    ['localhost@attacker.example'],
    ['notlocalhost'],
    ['internal'],
    ['::1'],
  ])('refuses the host %j', async (host) => {
    const { status, code } = await send(service.app, { host });
    expect([status, code]).toEqual([421, 'HOST_NOT_ALLOWED']);
  });

  it('believes no forwarded host, and no forwarded address', async () => {
    const headers = { host: 'attacker.example', 'x-forwarded-host': 'localhost', 'x-forwarded-for': '::1' };
    expect((await send(service.app, headers)).code).toBe('HOST_NOT_ALLOWED');
  });

  it('answers health under every host: load balancers ask for it under names of their own', async () => {
    expect((await send(service.app, { host: 'likeness:3000' }, { path: '/health/ready' })).status).toBe(200);
    expect((await send(service.app, { host: 'likeness:3000' }, { path: '/metrics' })).status).toBe(421);
  });

  const post = (headers: Record<string, string>) =>
    send(
      service.app,
      { host: 'localhost', 'content-type': multipart.type, ...headers },
      { method: 'POST', path: '/v1/detect', body: multipart.body },
    );

  it.each<[string, Record<string, string>]>([
    ['of a client that is no browser', {}],
    ['of its own page', { origin: 'http://localhost', 'sec-fetch-site': 'same-origin' }],
    ['of its own page, over plain http', { host: '192.168.1.5:3000', origin: 'http://192.168.1.5:3000' }],
    [
      'of its own page, behind a proxy that rewrites Host',
      { origin: 'https://face.example', 'sec-fetch-site': 'same-origin' },
    ],
    ['that the user started', { 'sec-fetch-site': 'none' }],
  ])('takes an upload %s', async (_, headers) => {
    expect((await post(headers)).status).toBe(200);
  });

  it.each<[string, Record<string, string>]>([
    ['of another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['of another site, over plain http', { origin: 'https://evil.example' }],
    ['of another site that hides its origin', { origin: 'null' }],
    ['of another site without an origin', { 'sec-fetch-site': 'cross-site' }],
    ['of another port', { origin: 'http://localhost:5173', 'sec-fetch-site': 'same-site' }],
    ['of another port, over plain http', { host: '10.0.0.1:3000', origin: 'http://10.0.0.1' }],
    ['that lies about the host', { origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' }],
  ])('refuses an upload %s', async (_, headers) => {
    const { status, code } = await post(headers);
    expect([status, code]).toEqual([403, 'ORIGIN_NOT_ALLOWED']);
  });

  it.each([['POST'], ['PUT'], ['PATCH'], ['DELETE']])(
    'refuses %s of another site on every path',
    async (method) => {
      const headers = { host: 'localhost', origin: 'https://evil.example' };
      const { code } = await send(service.app, headers, { method, path: '/v1/galleries/default' });
      expect(code).toBe('ORIGIN_NOT_ALLOWED');
    },
  );

  it('lets other sites read nothing', async () => {
    const asked = await send(service.app, { host: 'localhost', origin: 'https://evil.example' });
    expect([asked.status, asked.headers['access-control-allow-origin']]).toEqual([200, undefined]);
    const preflight = await send(
      service.app,
      { host: 'localhost', origin: 'https://evil.example', 'access-control-request-method': 'POST' },
      { method: 'OPTIONS', path: '/v1/verify' },
    );
    expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([404, undefined]);
  });

  it.each([
    ['/v1/models', 200],
    ['/health/live', 200],
    ['/metrics', 200],
    ['/openapi.json', 200],
    ['/docs', 200],
    ['/docs/swagger-ui.css', 200],
    ['/', 200],
    ['/none', 404],
  ])('says on %s that it is kept by no cache and is what its type says', async (path, status) => {
    const answer = await service.http.get(path).expect(status);
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
  });

  it.each([['/docs'], ['/docs/'], ['/DOCS'], ['/']])(
    'lets the page %s load and call itself only',
    async (path) => {
      const { headers } = await service.http
        .get(path)
        .expect(200)
        .expect('content-type', /text\/html/);
      expect(headers['content-security-policy']).toBe(
        "default-src 'self';base-uri 'self';font-src 'self';form-action 'self';frame-ancestors 'self';img-src 'self' data:;" +
          "object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' 'unsafe-inline'",
      );
      expect(headers).toMatchObject({ 'x-frame-options': 'SAMEORIGIN', 'referrer-policy': 'no-referrer' });
      expect(headers).not.toHaveProperty('strict-transport-security');
    },
  );

  it('limits nobody', async () => {
    const { headers } = await service.http.get('/v1/models').expect(200);
    expect(Object.keys(headers).filter((name) => name.startsWith('ratelimit'))).toEqual([]);
  });
});

describe('a service with listed hosts and origins', () => {
  let service: TestApp;
  const origin = 'https://app.example';

  beforeAll(async () => {
    service = await createApp({
      FACE_ALLOWED_HOSTS: 'face.example, *.faces.example',
      FACE_CORS_ORIGINS: `${origin}, http://localhost:5173`,
      FACE_TRUST_PROXY: '127.0.0.1',
    });
    service.model.addImage(image, { faces: [{ person: 'ada' }] });
  });
  afterAll(() => service.app.close());

  it.each([
    ['face.example', 200],
    ['FACE.example:8443', 200],
    ['a.faces.example', 200],
    ['localhost', 200],
    ['faces.example', 421],
    ['evilfaces.example', 421],
    ['face.example.attacker.example', 421],
    // A list that the operator wrote counts for his proxies too.
    ['attacker.example', 421],
  ])('answers under %s with %d', async (host, status) => {
    expect((await send(service.app, { host })).status).toBe(status);
  });

  it('answers the pages of these origins, preflight included', async () => {
    const preflight = await service.http
      .options('/v1/detect')
      .set({
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      })
      .expect(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-headers': 'authorization',
      'access-control-allow-methods': expect.stringContaining('POST'),
    });
    expect(preflight.headers).not.toHaveProperty('access-control-allow-credentials');
    const { headers } = await service.http
      .post('/v1/detect')
      .set({ origin, 'sec-fetch-site': 'cross-site' })
      .attach('image', image, 'a')
      .expect(200);
    expect(headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': expect.stringContaining('x-request-id'),
      vary: expect.stringContaining('Origin'),
    });
  });

  it('lets them read errors', async () => {
    const { headers } = await service.http.post('/v1/detect').set({ origin }).expect(415);
    expect(headers['access-control-allow-origin']).toBe(origin);
  });

  it.each([['https://evil.example'], ['http://app.example'], ['https://app.example:444'], ['null']])(
    'refuses pages of %s as before',
    async (other) => {
      const headers = { origin: other, 'sec-fetch-site': 'cross-site' };
      const { body } = await service.http
        .post('/v1/detect')
        .set(headers)
        .attach('image', image, 'a')
        .expect(403);
      expect(body.error.code).toBe('ORIGIN_NOT_ALLOWED');
      const asked = await service.http.get('/v1/models').set(headers).expect(200);
      expect(asked.headers).not.toHaveProperty('access-control-allow-origin');
    },
  );

  it('takes the page of the service itself for its own behind a proxy that says the host', async () => {
    const headers = { host: '10.0.0.1', 'x-forwarded-host': 'face.example', origin: 'https://face.example' };
    expect((await send(service.app, headers, { method: 'POST', path: '/v1/detect' })).code).not.toBe(
      'ORIGIN_NOT_ALLOWED',
    );
  });
});

describe('a service behind a proxy, with a limit of requests', () => {
  let service: TestApp;

  beforeAll(async () => {
    service = await createApp({
      FACE_TRUST_PROXY: '127.0.0.0/8, 10.0.0.0/8',
      FACE_REQUESTS_PER_MINUTE: '3',
    });
  });
  afterAll(() => service.app.close());

  const from = (address: string) => service.http.get('/v1/models').set('x-forwarded-for', address);

  it('believes the proxy about the host while no hosts are listed', async () => {
    expect(
      (await send(service.app, { host: 'likeness:3000', 'x-forwarded-for': '198.51.100.1' })).status,
    ).toBe(200);
  });

  it('says how many are left, refuses what is too much, and says when to come again', async () => {
    for (const left of [2, 1, 0]) {
      const { headers } = await from('203.0.113.1').expect(200);
      expect(headers['ratelimit']).toMatch(new RegExp(`^"requests-per-minute"; r=${left}; t=\\d+$`));
      expect(headers['ratelimit-policy']).toMatch(/^"requests-per-minute"; q=3; w=60; pk=:\S+:$/);
    }
    const { body, headers } = await from('203.0.113.1').expect(429);
    expect(body.error).toEqual({
      code: 'RATE_LIMIT_EXCEEDED',
      message: 'The limit of 3 requests per minute is exceeded.',
      details: { requestsPerMinute: 3, retryAfterSeconds: Number(headers['retry-after']) },
    });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
  });

  it('counts another address apart, and the addresses of one /64 together', async () => {
    await from('203.0.113.2').expect(200);
    for (const host of [1, 2, 3]) await from(`2001:db8:0:1::${host}`).expect(200);
    await from('2001:db8:0:1:ffff::').expect(429);
    await from('2001:db8:0:2::1').expect(200);
  });

  it('counts by the last address that no proxy of ours has said, whatever the client said before', async () => {
    for (const forged of [1, 2, 3]) await from(`192.0.2.${forged}, 203.0.113.3, 10.0.0.7`).expect(200);
    await from('192.0.2.4, 203.0.113.3, 10.0.0.7').expect(429);
  });

  it('never limits health and metrics', async () => {
    for (let i = 0; i < 5; i++) {
      await service.http.get('/health/live').set('x-forwarded-for', '203.0.113.1').expect(200);
      await service.http.get('/metrics').set('x-forwarded-for', '203.0.113.1').expect(200);
    }
  });

  it('refuses in the shape of the DeepFace API there', async () => {
    const post = () => service.http.post('/represent').set('x-forwarded-for', '203.0.113.4').send({});
    for (let i = 0; i < 3; i++) await post().expect(400);
    const { body } = await post().expect(429);
    expect(body).toMatchObject({ error: expect.any(String), code: 'RATE_LIMIT_EXCEEDED' });
  });
});

describe('a service that is not behind a proxy, with a limit of requests', () => {
  it('believes nobody about his address', async () => {
    const service = await createApp({ FACE_REQUESTS_PER_MINUTE: '2' });
    try {
      const from = (address: string) => service.http.get('/v1/models').set('x-forwarded-for', address);
      await from('203.0.113.1').expect(200);
      await from('203.0.113.2').expect(200);
      await from('203.0.113.3').expect(429);
    } finally {
      await service.app.close();
    }
  });
});
