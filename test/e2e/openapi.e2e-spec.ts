import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FACE_ERRORS, type FaceErrorCode, FaceError } from '../../src/errors';
import { deepfaceError, type DeepfaceRoute } from '../../src/server/deepface/dialect';
import { EXAMPLE_CONTRACT, EXAMPLE_EMBEDDER } from '../../src/server/http/openapi/examples';
import { EXAMPLE_IMAGE_DATA_URI } from '../../src/server/http/openapi/example-image';
import { createApp, type TestApp } from '../support/create-app';
import { documentedErrors } from '../support/documented-errors';
import { exampleAddress } from '../support/example-address';
import { rootDir } from '../support/paths';

const SNAPSHOT = join(rootDir, 'docs', 'openapi.json');
const MAX_BYTES = 200 * 1024;
/** Levels of the document that are written on lines of their own: below, a schema or a list is one line. */
const INDENTED_LEVELS = 5;

const IMAGE_ROUTES = ['/v1/verify', '/v1/represent', '/v1/detect', '/v1/analyze'];
const SUBJECT = '/v1/galleries/{galleryId}/subjects/{subjectId}';
/** In an order in which each finds what it needs. */
const GALLERY_ROUTES = [
  'post /v1/galleries',
  'post /v1/galleries/{galleryId}/enroll',
  `put ${SUBJECT}`,
  `patch ${SUBJECT}`,
  `post ${SUBJECT}/references`,
  'post /v1/galleries/{galleryId}/identify',
  `post ${SUBJECT}/verify`,
  'post /v1/distances',
];
/** In an order in which each finds what it needs. */
const DEEPFACE_ROUTES = ['/verify', '/represent', '/analyze', '/register', '/search', '/build/index'];
const GALLERY_IMAGE_ROUTES = GALLERY_ROUTES.filter((route) =>
  /(enroll|references|identify|verify)$/.test(route),
);
/** Operations that delete, replace or change what others use. */
const NOT_PREFILLED = [
  'deleteGallery',
  'deleteReference',
  'deleteSubject',
  'importGallery',
  'loadModel',
  'purgeCache',
  'purgeExpired',
  'purgeImage',
  'renameSubject',
  'startMigration',
  'swapModel',
  'switchMigration',
  'unloadModel',
  'updateGallery',
  'warmModel',
];

const DEEPFACE_TAG = 'DeepFace API';

interface Media {
  schema?: object;
  example?: unknown;
}
interface Parameter {
  in: string;
  name: string;
  schema?: object;
}
interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  security?: Record<string, []>[];
  parameters?: (Parameter | { $ref: string })[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { $ref?: string; content?: Record<string, Media> }>;
}
interface Document {
  info: { description: string; version: string; license: object };
  tags: { name: string; description: string }[];
  security: object[];
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, object>>;
}

/** JSON whose upper levels are indented, so that a change shows in few lines. */
function format(value: unknown, level = 0): string {
  const isList = Array.isArray(value);
  if (isList || typeof value !== 'object' || value == null || level === INDENTED_LEVELS)
    return JSON.stringify(value);
  const indent = ' '.repeat(level + 1);
  const entries = Object.entries(value).map(
    ([key, entry]) => `${indent}${JSON.stringify(key)}: ${format(entry, level + 1)}`,
  );
  return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n${' '.repeat(level)}}`;
}

describe('OpenAPI document', () => {
  let service: TestApp;
  let document: Document;
  let served: string;
  let text: string;

  beforeAll(async () => {
    service = await createApp({ FACE_DEEPFACE_ALIASES: `${EXAMPLE_EMBEDDER}=fake-embedder` });
    service.model.addImage(Buffer.from(EXAMPLE_IMAGE_DATA_URI.split(',')[1], 'base64'), {
      faces: [{ person: 'drawn' }],
    });
    const response = await service.http.get('/openapi.json').expect(200);
    served = response.text;
    document = response.body;
    text = `${format(document)}\n`;
  });
  afterAll(() => service.app.close());

  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const),
    );
  const resolve = <T extends object>(part: T | { $ref: string }): T =>
    '$ref' in part
      ? (part.$ref
          .split('/')
          .slice(1)
          .reduce<object>((parent, name) => (parent as Record<string, object>)[name], document) as T)
      : part;

  it('equals docs/openapi.json; UPDATE_OPENAPI=1 writes it, and what is generated from it', () => {
    if (process.env.UPDATE_OPENAPI === '1') {
      writeFileSync(SNAPSHOT, text);
      execFileSync(process.execPath, [join(rootDir, '.config', 'generate.mjs')]);
    }
    expect(text).toBe(readFileSync(SNAPSHOT, 'utf8'));
    expect(JSON.parse(text)).toEqual(document);
  });

  it('is small, as it is served and in docs', () => {
    expect(Buffer.byteLength(served)).toBeLessThan(MAX_BYTES);
    expect(Buffer.byteLength(text)).toBeLessThan(MAX_BYTES);
  });

  it('is the same whatever the settings', async () => {
    const other = await createApp({
      FACE_MAX_IMAGE_BYTES: '1000',
      FACE_MAX_IMAGES: '3',
      FACE_WORKER_COUNT: '7',
    });
    const response = await other.http.get('/openapi.json').expect(200);
    await other.app.close();
    expect(response.body).toEqual(document);
  });

  it('is shown at /docs', async () => {
    const response = await service.http.get('/docs').expect(200);
    expect(response.text).toContain('swagger-ui');
    expect(response.text).toContain('<title>Likeness API</title>');
  });

  it('has version and license of the package', () => {
    const { version, license } = JSON.parse(readFileSync(join(rootDir, 'package.json'), 'utf8'));
    expect(document.info).toMatchObject({ title: 'Likeness', version, license: { name: license } });
    expect(document.info).not.toHaveProperty('contact');
    expect(document).toMatchObject({ servers: [{ url: '/' }] });
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

  it('has a name, a text and one described group for each operation', () => {
    const names = document.tags.map(({ name }) => name);
    expect(document.tags.filter(({ description }) => !/\.$/.test(description))).toEqual([]);
    for (const [name, { operationId, summary, description, tags }] of operations()) {
      const texts = [name, expect.stringMatching(/^[a-z][A-Za-z]+$/), expect.any(String), expect.any(String)];
      expect([name, operationId, summary, description]).toEqual(texts);
      expect([name, tags.length, names.includes(tags[0])]).toEqual([name, 1, true]);
    }
    const ids = operations().map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(operations().flatMap(([, { tags }]) => tags))).toEqual(new Set(names));
  });

  it('has a schema for every body, response and parameter', () => {
    for (const [name, { requestBody, responses, parameters = [] }] of operations()) {
      const { 204: _noContent, ...answers } = responses;
      const bodies = [requestBody, ...Object.values(answers).map(resolve)].filter((body) => body != null);
      for (const media of bodies.flatMap(({ content }) => Object.values(content ?? { none: {} }))) {
        expect([name, media.schema]).toEqual([name, expect.any(Object)]);
      }
      for (const parameter of parameters) {
        expect([name, resolve(parameter).schema]).toEqual([name, expect.any(Object)]);
      }
    }
  });

  it('prefills nothing that deletes, replaces or changes what others use', () => {
    const isCheckedBy = ({ operationId }: Operation) => NOT_PREFILLED.includes(operationId);
    const risky = operations().filter(([, operation]) => isCheckedBy(operation));
    expect(risky).toHaveLength(NOT_PREFILLED.length);
    for (const [name, { parameters = [], requestBody }] of risky) {
      const inPath = parameters.map(resolve<Parameter>).filter((parameter) => parameter.in === 'path');
      expect([name, JSON.stringify(inPath)]).toEqual([name, expect.not.stringMatching(/"(example|default)/)]);
      for (const media of Object.values(requestBody?.content ?? {})) {
        expect([name, Object.keys(media)]).toEqual([name, ['schema']]);
      }
    }
    const others = operations().filter(([, operation]) => !isCheckedBy(operation));
    expect(others.filter(([name]) => name.startsWith('delete ') || /post \/admin/.test(name))).toEqual([]);
  });

  it('documents JSON and multipart for every route that works on images', () => {
    for (const route of [...IMAGE_ROUTES.map((path) => `post ${path}`), ...GALLERY_IMAGE_ROUTES]) {
      expect(Object.keys(document.paths[route.split(' ')[1]].post.requestBody?.content ?? {})).toEqual([
        'application/json',
        'multipart/form-data',
      ]);
    }
  });

  it('refers to one response for all errors of an operation', () => {
    for (const [name, { tags, responses }] of operations()) {
      if (name === 'get /') continue;
      const reference = {
        $ref: `#/components/responses/${tags.includes(DEEPFACE_TAG) ? 'DeepfaceError' : 'Error'}`,
      };
      const errors = Object.entries(responses).filter(([status]) => !status.startsWith('2'));
      expect([name, Object.fromEntries(errors)]).toEqual([name, { '4XX': reference, '5XX': reference }]);
    }
  });

  it('documents every error code under its status, and in one table', () => {
    const ours = operations().filter(([, { tags }]) => !tags.includes(DEEPFACE_TAG));
    const documented = new Set<string>();
    for (const [, operation] of ours) {
      for (const [code, status] of documentedErrors(document, operation)) {
        documented.add(code);
        expect([code, FACE_ERRORS[code].status]).toEqual([code, status]);
      }
    }
    // No route is unknown to itself, and nobody is there to read that the client has left.
    const undocumented = ['NOT_FOUND', 'REQUEST_ABORTED'];
    const codes = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
      (code) => FACE_ERRORS[code].status != null,
    );
    expect([...documented, ...undocumented].sort()).toEqual([...codes].sort());
    const rows = [...document.info.description.matchAll(/^\| `(\w+)` \| (\d+) \| (.+) \|$/gm)];
    expect(rows.map(([, code, status, description]) => [code, Number(status), description])).toEqual(
      codes.map((code) => [code, FACE_ERRORS[code].status, FACE_ERRORS[code].description]),
    );
  });

  it('documents the errors of the DeepFace API with its statuses and fields', () => {
    const schema = document.components.schemas.DeepfaceErrorDto as { properties: object };
    const ofDeepface = operations().filter(
      ([name, { tags }]) => tags.includes(DEEPFACE_TAG) && name !== 'get /',
    );
    expect(ofDeepface).toHaveLength(DEEPFACE_ROUTES.length);
    for (const [name, operation] of ofDeepface) {
      const errors = documentedErrors(document, operation);
      expect(errors.length).toBeGreaterThan(10);
      for (const [code, status] of errors) {
        // Hosts and origins are checked before the route is known.
        if (['HOST_NOT_ALLOWED', 'ORIGIN_NOT_ALLOWED'].includes(code)) continue;
        const route = name.split(' ')[1] as DeepfaceRoute;
        const answer = deepfaceError(new FaceError(code, 'Message.'), route, { requestId: 'id' });
        expect([name, code, status]).toEqual([name, code, answer.status]);
        expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(Object.keys(answer.body)));
      }
    }
  });

  it('names the keys that each operation accepts', () => {
    const apiKeys = [{ apiKey: [] }, { apiKeyHeader: [] }];
    expect(document.security).toEqual(apiKeys);
    expect(Object.keys(document.components.securitySchemes)).toEqual([
      'apiKey',
      'apiKeyHeader',
      'adminKey',
      'deepfaceToken',
    ]);
    const securityOf = (name: string) => {
      if (['get /', 'get /health/live', 'get /health/ready'].includes(name)) return [];
      if (name.includes(' /admin/')) return [{ adminKey: [] }, ...apiKeys];
      if (DEEPFACE_ROUTES.some((path) => name === `post ${path}`)) return [{ deepfaceToken: [] }, ...apiKeys];
      return undefined;
    };
    for (const [name, { security }] of operations())
      expect([name, security]).toEqual([name, securityOf(name)]);
  });

  it('resolves every reference', () => {
    const references = [...text.matchAll(/"#\/components\/(\w+)\/([\w-]+)"/g)];
    expect(references.length).toBeGreaterThan(200);
    for (const [, kind, name] of references) expect(document.components[kind]).toHaveProperty(name);
  });

  const withBodies = [...IMAGE_ROUTES, ...DEEPFACE_ROUTES].map((path) => `post ${path}`);
  it.each([...withBodies, ...GALLERY_ROUTES])('gives a body for %s that works as it is', async (route) => {
    const [method, path] = route.split(' ') as ['post' | 'put' | 'patch', string];
    const content = document.paths[path][method].requestBody?.content ?? {};
    const example = content['application/json'].example as Record<string, unknown>;
    const address = exampleAddress(path);
    const ours = JSON.stringify(example)
      .replaceAll(EXAMPLE_CONTRACT, service.model.embedder().contract)
      .replaceAll(EXAMPLE_EMBEDDER, service.model.defaultEmbedder);
    const response = await service.http[method](address).type('json').send(ours);
    expect([response.ok, response.body.error]).toEqual([true, undefined]);
    const fields = Object.entries(example).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    if (content['multipart/form-data'] != null) {
      const post = service.http.post(address);
      for (const [name, value] of fields) void post.field(name, value);
      expect((await post).ok).toBe(true);
    }
    if (content['application/x-www-form-urlencoded'] != null) {
      const post = service.http.post(address).type('form');
      expect((await post.send(Object.fromEntries(fields))).ok).toBe(true);
    }
  });
});
