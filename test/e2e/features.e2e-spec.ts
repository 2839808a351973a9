import { createApp, type TestApp } from '../support/create-app';

/** Routes that every service has. */
const ALWAYS = [
  'get /v1/models',
  'get /health/live',
  'get /health/ready',
  'get /admin/status',
  'get /admin/models',
  'post /admin/models/{name}/load',
  'post /admin/models/{name}/warm',
  'post /admin/models/{name}/unload',
  'post /admin/models/{name}/swap',
  'delete /admin/cache',
  'delete /admin/cache/{imageSha256}',
  'get /metrics',
];
const SUBJECT = '/v1/galleries/{galleryId}/subjects/{subjectId}';

/** The service with these capabilities, and the routes that its document describes. */
async function routesOf(features: string): Promise<{ service: TestApp; documented: string[] }> {
  const service = await createApp({ FACE_FEATURES: features });
  const { body } = await service.http.get('/openapi.json').expect(200);
  const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  return { service, documented };
}

/** Whether the server has no such route: no handler of a route that is there answers NOT_FOUND. */
async function isAbsent({ http }: TestApp, route: string): Promise<boolean> {
  const [method, path] = route.split(' ') as ['get' | 'post' | 'put' | 'patch' | 'delete', string];
  const { status, body } = await http[method](path.replaceAll(/\{(\w+)\}/g, 'default')).send();
  return status === 404 && body.error?.code === 'NOT_FOUND';
}

describe('FACE_FEATURES', () => {
  let all: string[];
  beforeAll(async () => {
    const { service, documented } = await routesOf('-deepface');
    const withDeepface = await createApp();
    const { body } = await withDeepface.http.get('/openapi.json');
    all = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(all).toEqual(expect.arrayContaining(documented));
    await Promise.all([service.app.close(), withDeepface.app.close()]);
  });

  it.each<[features: string, routes: string[]]>([
    ['verify', ['post /v1/verify']],
    ['verify,deepface', ['post /v1/verify', 'get /', 'post /verify']],
    ['embeddings', ['post /v1/represent', 'post /v1/distances']],
    ['detect', ['post /v1/detect']],
    ['expression', ['post /v1/analyze']],
    ['attributes,deepface', ['post /v1/analyze', 'get /', 'post /analyze']],
  ])('%s alone mounts and documents its routes, and no other', async (features, routes) => {
    const { service, documented } = await routesOf(features);
    expect(documented.sort()).toEqual([...ALWAYS, ...routes].sort());
    for (const route of all) {
      expect([route, await isAbsent(service, route)]).toEqual([route, !documented.includes(route)]);
    }
    await service.app.close();
  });

  it('galleries without identify have no search among all subjects, in any dialect', async () => {
    const { service, documented } = await routesOf('verify,galleries,deepface');
    expect(documented).toEqual(expect.arrayContaining([`post ${SUBJECT}/verify`, 'post /register']));
    for (const route of ['post /v1/galleries/{galleryId}/identify', 'post /search', 'post /build/index']) {
      expect([route, documented.includes(route)]).toEqual([route, false]);
      expect([route, await isAbsent(service, route)]).toEqual([route, true]);
    }
    await service.app.close();
  });

  it('identify without verify compares with no single subject', async () => {
    const { service, documented } = await routesOf('identify,galleries');
    expect(documented).toContain('post /v1/galleries/{galleryId}/identify');
    expect(documented).not.toContain(`post ${SUBJECT}/verify`);
    expect(await isAbsent(service, `post ${SUBJECT}/verify`)).toBe(true);
    await service.app.close();
  });
});
