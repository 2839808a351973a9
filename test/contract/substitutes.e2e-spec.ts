import { createApp, type TestApp } from '../support/create-app';
import { DEEPFACE_NAMES } from '../../src/server/deepface/model-names';
import { ok, refused } from './shapes';
import { Wire } from './wire';

const VERBS: Readonly<Record<string, string>> = {
  '/verify': 'verifying',
  '/represent': 'representing',
  '/analyze': 'analyzing',
  '/register': 'registering',
  '/search': 'searching',
  '/build/index': 'building index',
};
const ROUTES = Object.keys(VERBS);
/** Where embedders have substitutes. */
const COMPARING_ROUTES = ['/verify', '/register', '/search', '/build/index'];
const ORIGIN = 'https://app.example';
const photo = Buffer.from('a photo: alice');
const again = Buffer.from('another photo: alice');
const [img, imgAgain] = [photo, again].map((bytes) => bytes.toString('base64'));
const body = { img, img1: img, img2: imgAgain };

async function boot(env: NodeJS.ProcessEnv = {}): Promise<{ service: TestApp; wire: Wire }> {
  const service = await createApp({ FACE_GALLERY_SCAN_THREADS: '1', ...env });
  for (const image of [photo, again]) service.model.addImage(image, { faces: [{ person: 'alice' }] });
  return { service, wire: new Wire(await service.app.getUrl()) };
}

describe('names of DeepFace that are not loaded', () => {
  let service: TestApp;
  let wire: Wire;
  beforeAll(async () => {
    ({ service, wire } = await boot({ FACE_CORS_ORIGINS: ORIGIN }));
    ok(await wire.json('/register', { img, img_name: 'alice.jpg' }));
  });
  afterAll(() => service?.app.close());

  const post = (route: string, fields: object) => wire.json(route, { ...body, ...fields });

  /** Sends a name to some routes, and expects that the default model answers. */
  const expectSubstitute = async (
    routes: readonly string[],
    field: 'model_name' | 'detector_backend',
    name: string,
  ) => {
    const used = field === 'model_name' ? 'fake-embedder' : 'fake-detector';
    for (const route of routes) {
      const answer = await post(route, { [field]: name });
      expect([route, answer.status, answer.headers.get('x-likeness-substitute')]).toEqual([
        route,
        200,
        `${field};requested="${name}";used="${used}"`,
      ]);
    }
  };

  it("the default answers for DeepFace's default detector, on every route", () =>
    expectSubstitute(ROUTES, 'detector_backend', 'opencv'));

  it("the default answers for DeepFace's default model, where embeddings are compared", () =>
    expectSubstitute(COMPARING_ROUTES, 'model_name', 'VGG-Face'));

  // The cheapest route: all of them find models in the same way.
  it.each(['detector_backend', 'model_name'] as const)('the default answers for every %s', async (field) => {
    expect(DEEPFACE_NAMES[field].length).toBe(field === 'model_name' ? 11 : 21);
    for (const name of DEEPFACE_NAMES[field]) await expectSubstitute(['/build/index'], field, name);
  });

  it('the answer has the names and the threshold of the models that worked', async () => {
    const names = { model_name: 'VGG-Face', detector_backend: 'opencv' };
    const verified = await post('/verify', names);
    const plain = await post('/verify', {});
    expect(ok(verified)).toEqual({ ...ok(plain), time: expect.any(Number) });
    expect(verified.body).toMatchObject({ model: 'fake-embedder', detector_backend: 'fake-detector' });
    expect(verified.headers.get('x-likeness-substitute')).toBe(
      'model_name;requested="VGG-Face";used="fake-embedder", detector_backend;requested="opencv";used="fake-detector"',
    );
    const { results } = ok(await post('/search', names));
    expect(results[0][0]).toMatchObject({
      model_name: 'fake-embedder',
      detector_backend: 'fake-detector',
      threshold: verified.body.threshold,
    });
  });

  it('a face that was registered under one name is found under another: one embedder made both', async () => {
    const registered = await wire.json('/register', {
      img: imgAgain,
      img_name: 'again.jpg',
      model_name: 'VGG-Face',
      detector_backend: 'opencv',
    });
    expect(ok(registered)).toEqual({ inserted: 1 });
    for (const names of [
      { model_name: 'Facenet512', detector_backend: 'retinaface' },
      { model_name: 'ArcFace', detector_backend: 'yolov8n', search_method: 'ann' },
      { model_name: 'fake-embedder', detector_backend: 'fake-detector' },
      {},
    ]) {
      const { results } = ok(await post('/search', names));
      expect(results[0].map((row: { img_name: string }) => row.img_name).sort()).toEqual([
        'again.jpg',
        'alice.jpg',
      ]);
    }
    // Under yet another name it is the same face of the same image.
    const names = { model_name: 'Dlib', detector_backend: 'mtcnn' };
    expect(ok(await wire.json('/register', { img: imgAgain, ...names }))).toEqual({ inserted: 0 });
  });

  it('/represent refuses a model, and says how to import it or to use another', async () => {
    const text = refused(await post('/represent', { model_name: 'VGG-Face' }), 'error', 'representing');
    expect(text).toContain('embeddings of different models do not compare');
    expect(text).toContain('likeness models import vgg-face ~/.deepface/weights/vgg_face_weights.h5');
    expect(text).toContain('FACE_DEEPFACE_ALIASES=VGG-Face=fake-embedder');
    for (const model_name of DEEPFACE_NAMES.model_name) {
      expect(refused(await post('/represent', { model_name }), 'error', 'representing')).toContain(
        model_name,
      );
    }
  });

  it('/represent names its embedder in a header: by default, and by card', async () => {
    for (const fields of [{}, { model_name: 'fake-embedder' }]) {
      const answer = await post('/represent', fields);
      expect([answer.status, answer.headers.get('x-likeness-model')]).toEqual([200, 'fake-embedder']);
      expect(answer.headers.get('x-likeness-substitute')).toBeNull();
    }
  });

  it('/verify refuses embeddings of a model that is not loaded', async () => {
    const [{ embedding }] = ok(await post('/represent', {})).results;
    for (const images of [{ img1: embedding }, { img2: embedding }, { img1: embedding, img2: embedding }]) {
      const text = refused(
        await post('/verify', { ...images, model_name: 'Facenet512' }),
        'error',
        'verifying',
      );
      expect(text).toContain('likeness models import facenet512');
      expect(ok(await post('/verify', images)).verified).toBe(true);
    }
  });

  it('/verify refuses a threshold for a model that is not loaded', async () => {
    const text = refused(
      await post('/verify', { model_name: 'VGG-Face', threshold: 0.68 }),
      'error',
      'verifying',
    );
    expect(text).toMatch(/threshold is a distance of VGG-Face.*fake-embedder/);
    expect(ok(await post('/verify', { detector_backend: 'opencv', threshold: 0.3 })).threshold).toBe(0.3);
  });

  it.each([
    { model_name: 'GooseFace' },
    { model_name: 'opencv' },
    { model_name: 'vgg-face-2' },
    { detector_backend: 'gooseface' },
    { detector_backend: 'VGG-Face' },
    { detector_backend: 'OpenCV' },
    { detector_backend: 'yolov8s' },
  ])('%j is no name of DeepFace, and is refused', async (fields) => {
    const [name] = Object.values(fields);
    for (const route of COMPARING_ROUTES) {
      expect(refused(await post(route, fields), 'error', VERBS[route])).toContain(name);
    }
  });

  it('pages of listed origins can read the headers', async () => {
    const page = new Wire(wire.url, { origin: ORIGIN });
    const { headers } = await page.json('/verify', { ...body, model_name: 'VGG-Face' });
    const exposed = headers.get('access-control-expose-headers')?.split(/, ?/);
    expect(exposed).toEqual(
      expect.arrayContaining(['x-likeness-substitute', 'x-likeness-omitted', 'x-likeness-model']),
    );
  });

  it('names that are loaded, and skip, have no substitute', async () => {
    for (const fields of [
      {},
      { model_name: 'fake-embedder', detector_backend: 'fake-detector' },
      { model_name: null, detector_backend: 'skip' },
    ]) {
      const { headers } = await post('/verify', fields);
      expect(headers.get('x-likeness-substitute')).toBeNull();
    }
  });
});

describe('names of DeepFace that are not loaded, without substitutes', () => {
  let service: TestApp;
  let wire: Wire;
  beforeAll(async () => ({ service, wire } = await boot({ FACE_DEEPFACE_SUBSTITUTE: 'off' })));
  afterAll(() => service?.app.close());

  it.each(ROUTES)('are refused by %s', async (route) => {
    const hasModel = route !== '/analyze';
    for (const fields of [
      { detector_backend: 'opencv' },
      { detector_backend: 'retinaface' },
      ...(hasModel ? [{ model_name: 'VGG-Face' }, { model_name: 'DeepFace' }] : []),
    ]) {
      const [name] = Object.values(fields);
      const text = refused(await wire.json(route, { ...body, ...fields }), 'error', VERBS[route]);
      expect(text).toContain(`"${name}"`);
    }
  });

  it('actions without a model are refused where they are requested', async () => {
    const [detector, embedder] = service.model.models();
    const attributes = { ...detector, name: 'ages', task: 'age' as const, attributes: ['age' as const] };
    jest.spyOn(service.model, 'models').mockReturnValue([detector, embedder, attributes]);
    const answer = await wire.json('/analyze', { ...body, actions: ['age', 'race'] });
    expect(refused(answer, 'error', 'analyzing')).toContain('No model for action race is loaded.');
    const [face] = ok(await wire.json('/analyze', body)).results;
    expect(Object.keys(face)).toEqual(['age', 'region', 'face_confidence']);
  });
});
