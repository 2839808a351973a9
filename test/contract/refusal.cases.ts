import { expectNothingTold, refused, type Setup } from './shapes';
import { dataUri } from './wire';

const ROUTES = [
  { path: '/verify', verb: 'verifying', images: ['img1', 'img2'] },
  { path: '/represent', verb: 'representing', images: ['img'] },
  { path: '/analyze', verb: 'analyzing', images: ['img'] },
  { path: '/register', verb: 'registering', images: ['img'] },
  { path: '/search', verb: 'searching', images: ['img'] },
] as const;
const MODEL_ROUTES = ROUTES.filter(({ path }) => path !== '/analyze');

/** What is refused, and in which of DeepFace's shapes. */
export function refusalCases(setup: () => Setup): void {
  const uri = (name: keyof Setup['photos']) => dataUri(setup().photos[name]);

  describe.each(ROUTES)('POST $path', ({ path, verb, images }) => {
    /** A request with this in the place of each image. */
    const bodyOf = (image: unknown, fields: object = {}) => ({
      ...(path === '/analyze' ? { actions: ['age'] } : {}),
      ...Object.fromEntries(images.map((name) => [name, image])),
      ...fields,
    });
    const post = (image: unknown, fields: object = {}) => setup().wire.json(path, bodyOf(image, fields));

    it.each(images)('without %s says which is missing', async (missing) => {
      const { [missing]: _missing, ...body } = bodyOf(uri('person')) as Record<string, unknown>;
      const { wire } = setup();
      expect(refused(await wire.json(path, body), 'exception')).toContain(missing);
      const texts = { ...(body as Record<string, string>), n: '1', actions: 'age' };
      expect(refused(await wire.multipart(path, texts), 'exception')).toContain(missing);
      expect(refused(await wire.form(path, texts), 'exception')).toContain(missing);
    });

    it.each(['', null])('with an image of %j says that it is missing', async (image) => {
      expect(refused(await post(image), 'exception')).toContain(images[0]);
    });

    it('with an empty body says that the image is missing', async () => {
      const { wire } = setup();
      for (const answer of [await wire.json(path, {}), await wire.raw(path, ''), await wire.form(path, {})]) {
        refused(answer, 'exception');
      }
    });

    it.each(['{"img": ', '[1, 2]', '"text"', 'null'])('with the body %s is refused', async (body) => {
      refused(await setup().wire.raw(path, body, 'application/json'), 'either', verb);
    });

    it.each([
      '/etc/passwd',
      'dataset/img1.jpg',
      './img1.jpg',
      '../../img1.png',
      'C:\\photos\\img1.jpg',
      'file:///etc/passwd',
      'img1.jpg',
    ])('never reads the server path %s, and says so (DeepFace reads it)', async (image) => {
      const text = refused(await post(image), 'either', verb);
      expect(text).toMatch(/path|file/i);
      expect(text).not.toMatch(/root:|ENOENT/);
    });

    it.each(['http://127.0.0.1:1/a.jpg', 'https://169.254.169.254/latest/meta-data'])(
      'fetches no URL such as %s where the operator did not allow it, and says so',
      async (image) => {
        expect(refused(await post(image), 'either', verb)).toMatch(/url|address/i);
      },
    );

    it('with text in the place of base64 is refused', async () => {
      refused(await post('no image at all, only words!'), 'either', verb);
      refused(await post('data:image/jpeg;base64,***'), 'either', verb);
      refused(await post('data:text/plain,hello'), 'either', verb);
    });

    it('with base64 of something that is no image is refused', async () => {
      refused(await post(dataUri(Buffer.from('Not JPEG data'))), 'either', verb);
    });

    it('with a number, an object or an empty list in the place of an image is refused', async () => {
      for (const image of [7, { url: 'x' }, true, [], [null], [{}]])
        refused(await post(image), 'either', verb);
    });

    it('with a file that is no image is refused', async () => {
      const files = Object.fromEntries(images.map((name) => [name, Buffer.from('Not JPEG data')]));
      refused(await setup().wire.multipart(path, { ...files, actions: 'age' }), 'either', verb);
    });

    it('with half of a JPEG is refused', async () => {
      const half = setup().photos.person.subarray(0, setup().photos.person.length >> 1);
      const files = Object.fromEntries(images.map((name) => [name, half]));
      refused(await setup().wire.multipart(path, { ...files, actions: 'age' }), 'either', verb);
    });

    it('with an empty file is refused, as is the field of a browser where no file was chosen', async () => {
      const files = Object.fromEntries(images.map((name) => [name, Buffer.alloc(0)]));
      for (const fileName of ['photo.jpg', '']) {
        const answer = await setup().wire.multipart(path, files, fileName);
        expect(refused(answer, 'exception')).toContain(images[0]);
      }
    });

    it('without a face is an error that says so', async () => {
      expect(refused(await post(uri('blank')), 'error', verb)).toMatch(/face/i);
    });

    it('with anti_spoofing is an error that says that there is no such model', async () => {
      expect(refused(await post(uri('person'), { anti_spoofing: true }), 'error', verb)).toMatch(/spoof/i);
    });

    it('with a detector that nobody knows is an error that names it', async () => {
      const answer = await post(uri('person'), { detector_backend: 'gooseface' });
      expect(refused(answer, 'error', verb)).toContain('gooseface');
    });

    it('with the card of a detector that is not loaded says how to load it', async () => {
      const text = refused(await post(uri('person'), { detector_backend: 'yunet-dynamic' }), 'error', verb);
      expect(text).toMatch(/FACE_DETECTORS|\/admin\/models|models pull/);
    });

    it('with GET is not answered', async () => {
      const answer = await setup().wire.get(path);
      expect([404, 405]).toContain(answer.status);
      expectNothingTold(answer.text);
    });
  });

  describe.each(MODEL_ROUTES)('POST $path', ({ path, verb, images }) => {
    const post = (fields: object) =>
      setup().wire.json(path, {
        ...Object.fromEntries(images.map((name) => [name, uri('person')])),
        ...fields,
      });

    it('with a model that nobody knows is an error that names it', async () => {
      expect(refused(await post({ model_name: 'GooseFace' }), 'error', verb)).toContain('GooseFace');
    });

    it.each([7, {}, true])('with the model name %j is refused, naming the field', async (model_name) => {
      expect(refused(await post({ model_name }), 'error', verb)).toContain('model_name');
    });
  });

  it.each(['/verify', '/search'])(
    'POST %s with a metric that nobody knows is an error that names it',
    async (path) => {
      const body = {
        img: uri('person'),
        img1: uri('person'),
        img2: uri('person'),
        distance_metric: 'manhattan',
      };
      const verb = path === '/verify' ? 'verifying' : 'searching';
      expect(refused(await setup().wire.json(path, body), 'error', verb)).toMatch(/distance_metric.*cosine/);
    },
  );

  describe('POST /verify with embeddings', () => {
    const verify = (img1: unknown, img2: unknown = uri('person')) =>
      setup().wire.json('/verify', { img1, img2 });

    it('of another length is an error that says which length is right', async () => {
      expect(refused(await verify([1, 2, 3]), 'error', 'verifying')).toMatch(/128/);
      expect(refused(await verify(uri('person'), Array(48).fill(1)), 'error', 'verifying')).toMatch(/128/);
    });

    it.each([
      [['a', 'b', 'c']],
      [Array(128).fill('1')],
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      [Array(128).fill(null)],
    ])('that are no list of numbers are refused', async (embedding) => {
      refused(await verify(embedding), 'either', 'verifying');
    });

    it('of length zero are refused', async () => {
      refused(await verify(Array(128).fill(0)), 'error', 'verifying');
    });
  });

  describe('POST /analyze', () => {
    it('with an action that nobody knows is an error that names it', async () => {
      const answer = await setup().wire.json('/analyze', { img: uri('person'), actions: ['age', 'height'] });
      expect(refused(answer, 'error', 'analyzing')).toMatch(/actions.*age, gender, emotion, race/);
    });

    it.each([[[]], [[1]], [7], [{}]])('with the actions %j is refused', async (actions) => {
      const answer = await setup().wire.json('/analyze', { img: uri('person'), actions });
      expect(refused(answer, 'error', 'analyzing')).toContain('actions');
    });

    it('with an action whose model is not loaded says which model to load', async () => {
      const answer = await setup().wire.json('/analyze', { img: uri('person'), actions: ['race'] });
      const text = refused(answer, 'error', 'analyzing');
      expect(text).toContain('race');
      expect(text).toMatch(/FACE_ATTRIBUTE_MODELS|models (import|pull)/);
    });
  });
}
