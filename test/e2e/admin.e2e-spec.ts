import { createApp, type TestApp } from '../support/create-app';

const KEY = 'a-key-of-the-test-suite';

/** Every admin route, with a body that it takes. */
const ROUTES: [method: 'get' | 'post' | 'delete', path: string, body?: object][] = [
  ['get', '/admin/status'],
  ['get', '/admin/models'],
  ['post', '/admin/models/fake-embedder/load', {}],
  ['post', '/admin/models/fake-embedder/warm'],
  ['post', '/admin/models/fake-embedder/unload'],
  ['post', '/admin/models/fake-embedder/swap', { replacement: 'fake-embedder' }],
  ['delete', '/admin/cache'],
  ['delete', `/admin/cache/${'0'.repeat(64)}`],
];

describe('admin routes', () => {
  let service: TestApp;
  afterEach(() => service.app.close());

  const call = ([method, path, body]: (typeof ROUTES)[number], authorization?: string) => {
    const request = service.http[method](path);
    if (authorization != null) request.set('authorization', authorization);
    return body == null ? request : request.send(body);
  };
  const codeOf = (response: { body: { error?: { code: string } } }) => response.body.error?.code;

  it('are switched off without ADMIN_KEY, whatever the key', async () => {
    service = await createApp();
    for (const route of ROUTES) {
      const responses = [await call(route), await call(route, `Bearer ${KEY}`), await call(route, 'Bearer ')];
      for (const response of responses) {
        expect([route[1], response.status, codeOf(response)]).toEqual([route[1], 403, 'ADMIN_DISABLED']);
      }
    }
  });

  it('want the key, and say nothing of it', async () => {
    service = await createApp({ ADMIN_KEY: KEY });
    const wrong = [
      undefined,
      KEY,
      `Basic ${KEY}`,
      'Bearer',
      `Bearer ${KEY}x`,
      `Bearer ${KEY.slice(1)}`,
      'Bearer é',
    ];
    for (const route of ROUTES) {
      for (const authorization of wrong) {
        const response = await call(route, authorization);
        expect([route[1], authorization, response.status, codeOf(response)]).toEqual([
          route[1],
          authorization,
          401,
          'UNAUTHORIZED',
        ]);
        expect(response.text).not.toContain(KEY);
      }
    }
  });

  it('answer with the key', async () => {
    service = await createApp({ ADMIN_KEY: KEY });
    const statuses = [];
    for (const route of ROUTES) {
      const response = await call(route, `Bearer ${KEY}`);
      expect(response.body.requestId).toBe(response.headers['x-request-id']);
      statuses.push([route[1].split('/').pop(), response.status, codeOf(response)]);
    }
    expect(statuses).toEqual([
      ['status', 200, undefined],
      ['models', 200, undefined],
      ['load', 200, undefined],
      ['warm', 200, undefined],
      ['unload', 409, 'MODEL_IN_USE'],
      ['swap', 200, undefined],
      ['cache', 200, undefined],
      ['0'.repeat(64), 200, undefined],
    ]);
  });

  it('name the field at fault', async () => {
    service = await createApp({ ADMIN_KEY: KEY });
    const wrong: [(typeof ROUTES)[number], number, string, object][] = [
      [['post', '/admin/models/nobody/load', {}], 400, 'MODEL_UNKNOWN', { field: 'model' }],
      [
        ['post', '/admin/models/fake-embedder/load', { idleTtlMs: 1 }],
        400,
        'PARAMETER_INVALID',
        { fields: { idleTtlMs: 'must not be less than 1000' } },
      ],
      [
        ['post', '/admin/models/fake-embedder/load', { ttl: 5000 }],
        400,
        'PARAMETER_INVALID',
        { fields: { ttl: 'should not exist' } },
      ],
      [
        ['post', '/admin/models/fake-embedder/swap', {}],
        400,
        'PARAMETER_INVALID',
        { fields: { replacement: expect.stringContaining('must be a string') } },
      ],
      [
        ['delete', '/admin/cache/abc'],
        400,
        'PARAMETER_INVALID',
        { fields: { imageSha256: 'must be 64 lowercase hexadecimal digits' } },
      ],
    ];
    for (const [route, status, code, details] of wrong) {
      const response = await call(route, `Bearer ${KEY}`);
      expect([response.status, codeOf(response)]).toEqual([status, code]);
      expect(response.body.error.details).toMatchObject(details);
    }
  });
});
