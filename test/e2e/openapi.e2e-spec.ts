import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FACE_ERRORS, type FaceErrorCode } from '../../src/errors';
import { EXAMPLE_CONTRACT, EXAMPLE_EMBEDDER } from '../../src/server/http/openapi/examples';
import { EXAMPLE_IMAGE_DATA_URI } from '../../src/server/http/openapi/example-image';
import { createApp, type TestApp } from '../support/create-app';
import { type ApiParameter, exampleAddress } from '../support/example-address';

const SNAPSHOT = join(__dirname, '..', '..', 'docs', 'openapi.json');
const IMAGE_ROUTES = ['/v1/verify', '/v1/represent', '/v1/detect', '/v1/analyze'];
const SUBJECT = '/v1/galleries/{galleryId}/subjects/{subjectId}';
/** In an order in which each finds what it needs. */
const GALLERY_ROUTES = [
  'post /v1/galleries',
  'patch /v1/galleries/{galleryId}',
  'post /v1/galleries/{galleryId}/enroll',
  `put ${SUBJECT}`,
  `patch ${SUBJECT}`,
  `post ${SUBJECT}/references`,
  'post /v1/galleries/{galleryId}/identify',
  `post ${SUBJECT}/verify`,
  `post ${SUBJECT}/rename`,
  'post /v1/distances',
];
/** In an order in which each finds what it needs. */
const DEEPFACE_ROUTES = ['/verify', '/represent', '/analyze', '/register', '/search', '/build/index'];
const GALLERY_IMAGE_ROUTES = GALLERY_ROUTES.filter((route) =>
  /(enroll|references|identify|verify)$/.test(route),
);

const DEEPFACE_TAG = 'DeepFace API';

interface Media {
  schema?: object;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  tags?: string[];
  summary?: string;
  parameters?: ApiParameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { content?: Record<string, Media> }>;
}

/** Indented, with each list of numbers on one line: embeddings would fill pages. */
function format(document: object): string {
  const numbers = /\[\s+(-?[\d.]+(?:,\s+-?[\d.]+)+)\s+\]/g;
  const text = JSON.stringify(document, null, 2);
  return `${text.replace(numbers, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)}\n`;
}

describe('OpenAPI document', () => {
  let service: TestApp;
  let paths: Record<string, Record<string, Operation>>;
  let text: string;

  beforeAll(async () => {
    service = await createApp({ FACE_DEEPFACE_ALIASES: `${EXAMPLE_EMBEDDER}=fake-embedder` });
    service.model.addImage(Buffer.from(EXAMPLE_IMAGE_DATA_URI.split(',')[1], 'base64'), {
      faces: [{ person: 'drawn' }],
    });
    const response = await service.http.get('/openapi.json').expect(200);
    text = format(response.body);
    paths = response.body.paths;
  });
  afterAll(() => service.app.close());

  const operations = () =>
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const),
    );

  it('equals docs/openapi.json; UPDATE_OPENAPI=1 writes it', () => {
    if (process.env.UPDATE_OPENAPI === '1') writeFileSync(SNAPSHOT, text);
    expect(text).toBe(readFileSync(SNAPSHOT, 'utf8'));
  });

  it('is the same whatever the settings', async () => {
    const other = await createApp({
      FACE_MAX_IMAGE_BYTES: '1000',
      FACE_MAX_IMAGES: '3',
      FACE_WORKER_COUNT: '7',
    });
    const response = await other.http.get('/openapi.json').expect(200);
    await other.app.close();
    expect(format(response.body)).toBe(text);
  });

  it('is shown at /docs', async () => {
    const response = await service.http.get('/docs').expect(200);
    expect(response.text).toContain('swagger-ui');
  });

  it('knows every route', () => {
    expect(operations().map(([name]) => name)).toEqual(
      expect.arrayContaining([
        ...IMAGE_ROUTES.map((path) => `post ${path}`),
        ...GALLERY_ROUTES,
        ...DEEPFACE_ROUTES.map((path) => `post ${path}`),
        'get /',
        'get /v1/models',
        'get /health/live',
        'get /health/ready',
        'get /metrics',
      ]),
    );
    expect(operations()).toHaveLength(52);
  });

  it('has a schema and examples for every body and every response', () => {
    for (const [name, { summary, requestBody, responses }] of operations()) {
      expect([name, summary]).toEqual([name, expect.any(String)]);
      const { 204: _noContent, ...answers } = responses;
      const bodies = [requestBody, ...Object.values(answers)].filter((body) => body != null);
      for (const media of bodies.flatMap(({ content }) => Object.values(content ?? { none: {} }))) {
        expect([name, media.schema]).toEqual([name, expect.any(Object)]);
        expect([name, Object.keys(media.examples ?? {}).length > 0]).toEqual([name, true]);
      }
    }
  });

  it('documents JSON and multipart for every route that works on images', () => {
    for (const route of [...IMAGE_ROUTES.map((path) => `post ${path}`), ...GALLERY_IMAGE_ROUTES]) {
      expect(Object.keys(paths[route.split(' ')[1]].post.requestBody?.content ?? {})).toEqual([
        'application/json',
        'multipart/form-data',
      ]);
    }
  });

  it('documents every error code under its status, with an envelope as example', () => {
    const documented = new Set<string>();
    const ours = operations().filter(([, { tags }]) => !tags?.includes(DEEPFACE_TAG));
    for (const [, { responses }] of ours) {
      for (const [status, { content }] of Object.entries(responses)) {
        if (status.startsWith('2')) continue;
        for (const [code, { value }] of Object.entries(content?.['application/json'].examples ?? {})) {
          documented.add(code);
          expect([code, FACE_ERRORS[code as FaceErrorCode].status]).toEqual([code, Number(status)]);
          expect(value).toEqual({
            error: { code, message: expect.any(String), details: expect.any(Object) },
            requestId: expect.any(String),
          });
        }
      }
    }
    // No route is unknown to itself, and nobody is there to read that the client has left. Hosts and origins are checked
    // before the route is known.
    const undocumented = ['NOT_FOUND', 'REQUEST_ABORTED', 'HOST_NOT_ALLOWED', 'ORIGIN_NOT_ALLOWED'];
    const codes = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
      (code) => FACE_ERRORS[code].status != null,
    );
    expect([...documented, ...undocumented].sort()).toEqual([...codes].sort());
  });

  it('documents the errors of the DeepFace API in its shapes', () => {
    const ofDeepface = operations().filter(([, { tags }]) => tags?.includes(DEEPFACE_TAG));
    expect(ofDeepface).toHaveLength(DEEPFACE_ROUTES.length + 1);
    for (const [name, { responses }] of ofDeepface) {
      for (const [status, { content }] of Object.entries(responses)) {
        for (const [code, { value }] of Object.entries(content?.['application/json']?.examples ?? {})) {
          if (status.startsWith('2')) continue;
          const keys = Object.keys(value as object).join();
          const shapes: Record<string, RegExp> = {
            400: /^(error|exception)$/,
            401: /^message$/,
            403: /^message$/,
          };
          expect([name, code, keys]).toEqual([
            name,
            code,
            expect.stringMatching(shapes[status] ?? /^error,code,requestId$/),
          ]);
          expect(JSON.stringify(value)).not.toContain('{field}');
        }
      }
    }
  });

  it('resolves every reference', () => {
    const { components } = JSON.parse(text) as { components: Record<string, object> };
    for (const [, kind, name] of text.matchAll(/"#\/components\/(\w+)\/([\w-]+)"/g)) {
      expect(components[kind]).toHaveProperty(name);
    }
  });

  const withBodies = [...IMAGE_ROUTES, ...DEEPFACE_ROUTES].map((path) => `post ${path}`);
  it.each([...withBodies, ...GALLERY_ROUTES])(
    'gives bodies and parameters for %s that work as they are',
    async (route) => {
      const [method, path] = route.split(' ') as ['post' | 'put' | 'patch', string];
      const { requestBody, parameters } = paths[path][method];
      const { content } = requestBody ?? { content: {} };
      const address = exampleAddress(path, parameters);
      const ours = (value: unknown) =>
        JSON.stringify(value)
          .replaceAll(EXAMPLE_CONTRACT, service.model.embedder().contract)
          .replaceAll(EXAMPLE_EMBEDDER, service.model.defaultEmbedder);
      for (const { value } of Object.values(content['application/json'].examples ?? {})) {
        // A rename takes the subject away from the next example.
        await service.http
          .put(exampleAddress(SUBJECT, parameters))
          .send({})
          .ok(() => true);
        const response = await service.http[method](address).type('json').send(ours(value));
        expect([response.ok, response.body.error]).toEqual([true, undefined]);
      }
      for (const { value } of Object.values(content['multipart/form-data']?.examples ?? {})) {
        const post = service.http.post(address);
        for (const [field, text] of Object.entries(value as Record<string, string | string[]>))
          void post.field(field, text);
        expect((await post).ok).toBe(true);
      }
      for (const { value } of Object.values(content['application/x-www-form-urlencoded']?.examples ?? {})) {
        const post = service.http.post(address).type('form');
        expect((await post.send(value as Record<string, string>)).ok).toBe(true);
      }
    },
  );
});
