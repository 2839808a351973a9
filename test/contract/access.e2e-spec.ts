import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FaceError } from '../../src/errors';
import { createApp, type TestApp } from '../support/create-app';
import { expectNothingTold } from './shapes';
import { Wire } from './wire';

const ROUTES = ['/verify', '/represent', '/analyze', '/register', '/search', '/build/index'];
// As short as the one in DeepFace's own tests.
const TOKEN = 'some_token';
const photo = Buffer.from('a photo: alice');
const image = photo.toString('base64');
const body = { img: image, img1: image, img2: image, actions: ['age'] };

async function boot(env: NodeJS.ProcessEnv): Promise<{ service: TestApp; wire: (token?: string) => Wire }> {
  const service = await createApp({ FACE_GALLERY_SCAN_THREADS: '1', ...env });
  service.model.addImage(photo, { faces: [{ person: 'alice' }] });
  const url = await service.app.getUrl();
  return { service, wire: (authorization) => new Wire(url, authorization == null ? {} : { authorization }) };
}

describe('the DeepFace API with a token', () => {
  let service: TestApp;
  let wire: (authorization?: string) => Wire;
  beforeAll(async () => ({ service, wire } = await boot({ DEEPFACE_AUTH_TOKEN: TOKEN })));
  afterAll(() => service?.app.close());

  describe.each(ROUTES)('POST %s', (path) => {
    it.each([
      ['no header', undefined],
      ['another token', 'Bearer wrong_token'],
      ['the beginning of the token', `Bearer ${TOKEN.slice(0, -1)}`],
      ['more than the token', `Bearer ${TOKEN}s`],
      ['an empty token', 'Bearer '],
      ['another scheme', `Basic ${TOKEN}`],
      ['the token alone', TOKEN],
    ])('refuses %s with 401 and the message of DeepFace', async (_name, authorization) => {
      const answer = await wire(authorization).json(path, body);
      expect([answer.status, answer.body]).toEqual([
        401,
        { message: 'Invalid or missing authentication token' },
      ]);
    });

    it('refuses it however the body is written', async () => {
      const { img, img1, img2 } = body;
      for (const answer of [
        await wire().multipart(path, { img: photo, img1: photo, img2: photo }),
        await wire().form(path, { img, img1, img2 }),
        await wire().raw(path, '{ no json', 'application/json'),
      ]) {
        expect([answer.status, answer.body?.message]).toEqual([401, expect.any(String)]);
      }
    });

    it('lets nobody in by another spelling of the route', async () => {
      const spellings = [path.toUpperCase(), `${path}/`, `/${path}`, `${path}?a=b`, path.replace('r', '%72')];
      for (const spelling of spellings) {
        const { status } = await wire().json(spelling, body);
        expect([spelling, [401, 404].includes(status)]).toEqual([spelling, true]);
      }
    });

    it('takes the token', async () => {
      const { status } = await wire(`Bearer ${TOKEN}`).json(path, body);
      expect(status).not.toBe(401);
      expect(status).toBeLessThan(500);
    });
  });

  it('GET / needs none', async () => {
    expect((await wire().get('/')).status).toBe(200);
  });

  it('verifies with it', async () => {
    const answer = await wire(`Bearer ${TOKEN}`).json('/verify', body);
    expect([answer.status, answer.body.verified]).toEqual([200, true]);
  });

  it('leaves the native routes as they are', async () => {
    expect((await wire().json('/v1/represent', { image })).status).toBe(200);
  });
});

describe('the DeepFace API without a token', () => {
  let service: TestApp;
  let wire: (authorization?: string) => Wire;
  beforeAll(async () => ({ service, wire } = await boot({})));
  afterAll(() => service?.app.close());

  it('asks for none, and reads none', async () => {
    for (const authorization of [undefined, 'Bearer whatever', 'nonsense']) {
      const answer = await wire(authorization).json('/verify', body);
      expect([answer.status, answer.body.verified]).toEqual([200, true]);
    }
  });
});

describe('the DeepFace API that is switched off', () => {
  let service: TestApp;
  let wire: (authorization?: string) => Wire;
  beforeAll(async () => ({ service, wire } = await boot({ FACE_FEATURES: '-deepface' })));
  afterAll(() => service?.app.close());

  it.each(ROUTES)('has no POST %s', async (path) => {
    for (const spelling of [path, `${path}/`, path.toUpperCase()]) {
      expect((await wire().json(spelling, body)).status).toBe(404);
    }
  });

  it('has no GET /', async () => {
    expect((await wire().get('/')).status).toBe(404);
  });

  it('leaves the native routes as they are', async () => {
    expect((await wire().json('/v1/represent', { image })).status).toBe(200);
  });
});

describe('the DeepFace API with names that stand for others', () => {
  let service: TestApp;
  let wire: (authorization?: string) => Wire;
  beforeAll(
    async () =>
      ({ service, wire } = await boot({
        FACE_DEEPFACE_ALIASES: 'opencv=fake-detector,VGG-Face=fake-embedder',
        FACE_DEEPFACE_SUBSTITUTE: 'off',
      })),
  );
  afterAll(() => service?.app.close());

  it('takes them, and names them as it was asked', async () => {
    const names = { model_name: 'VGG-Face', detector_backend: 'opencv' };
    const { body: verified } = await wire().json('/verify', { ...body, ...names });
    expect(verified).toMatchObject({ verified: true, model: 'VGG-Face', detector_backend: 'opencv' });
    // The threshold of the model that works, not of the one whose name it has.
    expect(verified.threshold).toBeCloseTo(0.534949, 6);
    expect((await wire().json('/represent', { ...body, ...names })).status).toBe(200);
  });

  it('leaves other names unknown', async () => {
    const { status, body: refusal } = await wire().json('/verify', { ...body, model_name: 'ArcFace' });
    expect([status, refusal.error]).toEqual([400, expect.stringContaining('ArcFace')]);
  });

  it.each(['opencv', '=yunet', 'opencv=', 'opencv=yunet,,', 'opencv=no-card'])(
    'ends the boot for %j',
    async (value) => {
      await expect(boot({ FACE_DEEPFACE_ALIASES: value })).rejects.toThrow(/FACE_DEEPFACE_ALIASES/);
    },
  );
});

describe('the DeepFace API where the operator lets it fetch images', () => {
  let service: TestApp;
  let wire: (authorization?: string) => Wire;
  let photos: Server;
  let origin: string;
  beforeAll(async () => {
    photos = createServer((request, response) => {
      response.statusCode = request.url === '/alice.jpg' ? 200 : 404;
      response.end(request.url === '/alice.jpg' ? photo : 'no such photo');
    }).listen(0, '127.0.0.1');
    await once(photos, 'listening');
    const host = `127.0.0.1:${(photos.address() as AddressInfo).port}`;
    origin = `http://${host}`;
    ({ service, wire } = await boot({ FACE_IMAGE_URL_HOSTS: host }));
  });
  afterAll(async () => {
    await service?.app.close();
    photos.close();
  });

  it.each(['json', 'form', 'multipart'] as const)('takes an address for an image in %s', async (carrier) => {
    const url = `${origin}/alice.jpg`;
    const verified = await wire()[carrier]('/verify', { img1: url, img2: url });
    expect([verified.status, verified.body.verified]).toEqual([200, true]);
    const represented = await wire()[carrier]('/represent', { img: url });
    expect([represented.status, represented.body.results?.length]).toEqual([200, 1]);
  });

  it('takes addresses and base64 side by side', async () => {
    const { status, body: answer } = await wire().json('/represent', { img: [image, `${origin}/alice.jpg`] });
    expect([status, answer.results?.length]).toEqual([200, 2]);
    expect(answer.results[1]).toEqual(answer.results[0]);
  });

  it('refuses an address at which there is no image, and one of another host', async () => {
    for (const img of [`${origin}/bob.jpg`, 'http://127.0.0.1:9/alice.jpg', 'ftp://127.0.0.1/alice.jpg']) {
      const answer = await wire().json('/represent', { img });
      expect([answer.status, answer.body.error ?? answer.body.exception]).toEqual([400, expect.any(String)]);
      expect(answer.text).not.toContain('no such photo');
      expectNothingTold(answer.text);
    }
  });
});

describe('what DeepFace has no answer for', () => {
  let service: TestApp;
  let wire: () => Wire;
  beforeAll(
    async () => ({ service, wire } = await boot({ FACE_MAX_IMAGE_BYTES: '2000', FACE_MAX_IMAGES: '2' })),
  );
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => service?.app.close());

  /** An answer of ours: the text where DeepFace has it, and what a program needs to tell one from the other. */
  const expectCoded = (answer: Awaited<ReturnType<Wire['json']>>, status: number, code: string) => {
    expect([answer.status, answer.body]).toEqual([
      status,
      expect.objectContaining({ error: expect.any(String), code, requestId: expect.any(String) }),
    ]);
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
    expectNothingTold(answer.text);
  };

  it.each(['QUEUE_FULL', 'INFERENCE_TIMEOUT', 'CALLER_QUEUE_FULL', 'NOT_READY', 'INFERENCE_FAILED'] as const)(
    '%s keeps its status and its Retry-After',
    async (code) => {
      const error = new FaceError(code, 'Said by the suite.', { retryAfterSeconds: 7 });
      jest.spyOn(service.model, 'represent').mockRejectedValue(error);
      const native = await wire().json('/v1/represent', { image });
      for (const path of ['/verify', '/represent', '/register']) {
        const answer = await wire().json(path, body);
        expectCoded(answer, native.status, code);
        expect(answer.headers.get('retry-after')).toBe(native.headers.get('retry-after'));
      }
    },
  );

  it('an image over the limit is 413, however it is sent', async () => {
    const large = Buffer.alloc(5000, 1);
    expectCoded(await wire().multipart('/represent', { img: large }), 413, 'IMAGE_TOO_LARGE');
    expectCoded(await wire().json('/represent', { img: large.toString('base64') }), 413, 'IMAGE_TOO_LARGE');
    expectCoded(await wire().form('/represent', { img: large.toString('base64') }), 413, 'IMAGE_TOO_LARGE');
  });

  it('more images than are allowed are refused', async () => {
    const answer = await wire().json('/represent', { img: [image, image, image] });
    expectCoded(answer, 413, 'REQUEST_TOO_LARGE');
    expect(answer.body.error).toContain('2');
  });

  it('a fault of our own is 500 without a word of what went wrong', async () => {
    jest.spyOn(service.model, 'represent').mockRejectedValue(new Error('the secret of the engine'));
    const answer = await wire().json('/represent', body);
    expect(answer.status).toBe(500);
    expect(answer.body.error).toEqual(expect.any(String));
    expect(answer.text).not.toContain('secret');
    expectNothingTold(answer.text);
  });
});
