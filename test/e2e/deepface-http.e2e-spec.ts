import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FaceError } from '../../src/errors';
import { createApp, type TestApp } from '../support/create-app';

const alice = Buffer.from('a photo of alice');
const alice2 = Buffer.from('another photo of alice');
const bob = Buffer.from('a photo of bob');
const couple = Buffer.from('bob and alice');
const landscape = Buffer.from('a landscape');
const edge = Buffer.from('a face that leaves the image');
const base64 = (image: Buffer) => image.toString('base64');
const dataUri = (image: Buffer) => `data:image/jpeg;base64,${base64(image)}`;

const ALIASES = 'Dlib=fake-embedder,opencv=fake-detector,retinaface=fake-detector';
const BOX = { x: 20, y: 100, w: 200, h: 200 };
/** The person's left is on the right of the image. */
const EYES = { left_eye: [160, 180], right_eye: [80, 180] };
const AREA = { ...BOX, ...EYES };
const NO_EYES = { left_eye: null, right_eye: null };
const WHOLE = { x: 0, y: 0, w: 640, h: 480, ...NO_EYES };

/** Posts with exactly these headers: supertest and fetch add a content type of their own. */
function post(app: NestExpressApplication, path: string, headers: Record<string, string>, body: string) {
  const { port } = app.getHttpServer().address() as AddressInfo;
  return new Promise<{ status?: number; body: Record<string, unknown> }>((resolve, reject) => {
    const call = httpRequest({ port, host: '127.0.0.1', path, method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) }),
      );
    });
    call.on('error', reject);
    call.end(body);
  });
}

describe('the DeepFace API over HTTP', () => {
  let service: TestApp;

  beforeAll(async () => {
    service = await createApp({ FACE_MAX_IMAGES: '4', FACE_DEEPFACE_ALIASES: ALIASES });
    service.model
      .addImage(alice, { faces: [{ person: 'alice', detectionScore: 0.987 }] })
      .addImage(alice2, { faces: [{ person: 'alice' }] })
      .addImage(bob, { faces: [{ person: 'bob' }] })
      .addImage(couple, { faces: [{ person: 'bob' }, { person: 'alice' }] })
      .addImage(landscape, { faces: [] })
      .addImage(edge, {
        faces: [
          {
            person: 'alice',
            box: { x: -10.4, y: 400.2, width: 700, height: 200 },
            landmarks: [
              { x: -1, y: 420 },
              { x: 300.6, y: 420.4 },
              { x: 200, y: 500 },
              { x: 100, y: 470 },
              { x: 300, y: 470 },
            ],
          },
        ],
      });
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => service.app.close());

  const json = (path: string, body: object) => service.http.post(path).send(body);
  const error = (verb: string, text: string) => ({
    error: expect.stringContaining(`Exception while ${verb}: ${text}`),
  });

  describe('GET /', () => {
    it('says that the API is there', async () => {
      const { status, text, headers } = await service.http.get('/');
      expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
      expect(text).toContain('<h1>Welcome to DeepFace API v0.0.100!</h1>');
    });
  });

  describe('POST /verify', () => {
    it('answers with the fields of DeepFace, in its order', async () => {
      const response = await json('/verify', { img1: dataUri(alice), img2: dataUri(alice2) });
      expect(response.status).toBe(200);
      expect(response.body).toEqual({
        verified: true,
        distance: 0,
        threshold: expect.closeTo(0.534949, 6),
        confidence: 100,
        model: 'fake-embedder',
        detector_backend: 'fake-detector',
        similarity_metric: 'cosine',
        facial_areas: { img1: AREA, img2: AREA },
        time: expect.any(Number),
      });
      expect(Object.keys(response.body).join()).toBe(
        'verified,distance,threshold,confidence,model,detector_backend,similarity_metric,facial_areas,time',
      );
      expect(Object.keys(response.body.facial_areas.img1).join()).toBe('x,y,w,h,left_eye,right_eye');
      expect(response.headers['server-timing']).toContain('detect;dur=');
    });

    const bodies: [string, (img1: string, img2: string) => [Record<string, string>, string]][] = [
      ['JSON', (img1, img2) => [{ 'content-type': 'application/json' }, JSON.stringify({ img1, img2 })]],
      [
        'JSON under the older names',
        (img1_path, img2_path) => [
          { 'content-type': 'application/json' },
          JSON.stringify({ img1_path, img2_path }),
        ],
      ],
      [
        'JSON that curl calls a form',
        (img1, img2) => [
          { 'content-type': 'application/x-www-form-urlencoded' },
          JSON.stringify({ img1, img2, align: true }, null, 2),
        ],
      ],
      ['JSON without a content type', (img1, img2) => [{}, JSON.stringify({ img1, img2 })]],
      [
        'a form',
        (img1, img2) => [
          { 'content-type': 'application/x-www-form-urlencoded' },
          new URLSearchParams({ img1, img2 }).toString(),
        ],
      ],
      [
        'a form whose plus signs are not escaped',
        (img1, img2) => [
          { 'content-type': 'application/x-www-form-urlencoded' },
          `img1=${img1}&img2=${img2}`,
        ],
      ],
    ];
    it.each(bodies)('takes %s', async (_name, bodyOf) => {
      for (const encode of [base64, dataUri]) {
        const [headers, body] = bodyOf(encode(alice), encode(bob));
        const answer = await post(service.app, '/verify', headers, body);
        expect(answer).toMatchObject({
          status: 200,
          body: { verified: false, facial_areas: { img2: AREA } },
        });
      }
    });

    it('takes files, texts, and both together in multipart', async () => {
      const files = service.http.post('/verify').attach('img1', alice, 'a.jpg').attach('img2', bob, 'b.jpg');
      const texts = service.http
        .post('/verify')
        .field('img1', dataUri(alice))
        .field('img2_path', base64(bob));
      const both = service.http.post('/verify').attach('img1', alice, 'a.jpg').field('img2', dataUri(bob));
      for (const response of await Promise.all([files, texts, both])) {
        expect([response.status, response.body.verified]).toEqual([200, false]);
      }
    });

    it('takes embeddings in the place of images, as a list and as text', async () => {
      const { body } = await json('/represent', { img: dataUri(alice) });
      const [{ embedding }] = body.results;
      const none = { x: null, y: null, w: null, h: null, ...NO_EYES };
      const list = await json('/verify', { img1: embedding, img2: dataUri(alice2) });
      expect(list.body).toMatchObject({ distance: 0, facial_areas: { img1: none, img2: AREA } });
      const text = await service.http
        .post('/verify')
        .field('img1', JSON.stringify(embedding))
        .field('img2', JSON.stringify(embedding));
      expect(text.body).toMatchObject({ verified: true, facial_areas: { img1: none, img2: none } });
      const short = await json('/verify', { img1: [1, 2, 3], img2: dataUri(alice) });
      expect([short.status, short.body]).toEqual([400, error('verifying', 'img1: Expected 512 numbers')]);
    });

    it('decides by the closest pair of all faces', async () => {
      const { body } = await json('/verify', { img1: dataUri(couple), img2: dataUri(alice) });
      expect(body).toMatchObject({ verified: true, distance: 0 });
      expect(body.facial_areas.img1.w).toBe(190);
    });

    it('keeps areas inside the image, and leaves out eyes that are not', async () => {
      const { body } = await json('/verify', { img1: dataUri(edge), img2: dataUri(alice) });
      expect(body.facial_areas.img1).toEqual({
        x: 0,
        y: 400,
        w: 639,
        h: 79,
        left_eye: [301, 420],
        right_eye: null,
      });
    });

    it.each([
      [0, true],
      [0.3, true],
      [undefined, true],
    ])('takes the threshold %p', async (threshold, verified) => {
      const { body } = await json('/verify', { img1: dataUri(alice), img2: dataUri(alice2), threshold });
      expect(body).toMatchObject({
        verified,
        threshold: threshold ?? expect.closeTo(0.534949, 6),
        confidence: 100,
      });
    });

    it('never verifies two images without a face, and says so', async () => {
      const images = { img1: dataUri(landscape), img2: dataUri(landscape) };
      const free = await json('/verify', { ...images, enforce_detection: false });
      expect(free.body).toMatchObject({ verified: false, reason: 'no_face', distance: 0 });
      expect(free.body.confidence).toBeLessThan(50);
      const skipped = await json('/verify', { ...images, detector_backend: 'skip' });
      expect(skipped.body).toMatchObject({ verified: true, distance: 0 });
      expect(skipped.body).not.toHaveProperty('reason');
    });

    it('decides by the threshold given, and takes the confidence by its own', async () => {
      const { body } = await json('/verify', { img1: dataUri(alice), img2: dataUri(bob), threshold: 2 });
      expect(body).toMatchObject({ verified: true, threshold: 2, confidence: 49 });
    });

    it('calls models as the request does, and judges by the card behind the name', async () => {
      const body = {
        img1: dataUri(alice),
        img2: dataUri(bob),
        model_name: 'Dlib',
        detector_backend: 'opencv',
      };
      const answer = await json('/verify', body);
      expect(answer.body).toMatchObject({
        model: 'Dlib',
        detector_backend: 'opencv',
        threshold: expect.closeTo(0.534949, 6),
      });
    });

    it.each(['cosine', 'euclidean', 'euclidean_l2', 'angular'])('measures by %s', async (distance_metric) => {
      const { body } = await json('/verify', { img1: dataUri(alice), img2: dataUri(bob), distance_metric });
      expect(body).toMatchObject({ similarity_metric: distance_metric, verified: false });
      expect(body.distance).toBe(Number(body.distance.toFixed(6)));
    });
  });

  describe('detection', () => {
    it.each([
      [{ detector_backend: 'skip' }, landscape, WHOLE, 0],
      [{ enforce_detection: false }, landscape, WHOLE, 0],
      [{ enforce_detection: 'False' }, landscape, WHOLE, 0],
      [{ enforce_detection: '0' }, landscape, WHOLE, 0],
      [{ enforce_detection: false }, alice, AREA, 0.99],
    ])('%p', async (options, image, facial_area, face_confidence) => {
      const { status, body } = await json('/represent', { img: dataUri(image), ...options });
      expect(status).toBe(200);
      expect(body.results).toEqual([{ embedding: expect.any(Array), facial_area, face_confidence }]);
    });

    it.each(['true', 'True', '1', 1, true])(
      'finds no face with enforce_detection %p',
      async (enforce_detection) => {
        const { status, body } = await json('/represent', { img: dataUri(landscape), enforce_detection });
        expect([status, body]).toEqual([400, error('representing', 'img: No face was found')]);
      },
    );

    it('turns photos that lie on their side, and embeds no face that is not aligned', async () => {
      const sideways = Buffer.from('sideways');
      service.model.addImage(sideways, { rotation: 90, faces: [{ person: 'alice' }] });
      expect((await json('/represent', { img: dataUri(sideways) })).status).toBe(200);
      service.model.addImage(sideways, { faces: [{ person: 'alice', aligned: false }] });
      const { status, body } = await json('/represent', { img: dataUri(sideways) });
      expect([status, body]).toEqual([
        400,
        error('representing', 'img: A face was found, but it is not upright'),
      ]);
    });

    it('reads a form as it reads: "false" is false', async () => {
      const form = service.http.post('/represent').attach('img', landscape, 'x.jpg');
      expect((await form.field('enforce_detection', 'false')).status).toBe(200);
    });

    it('asks the model for faces that are not aligned', async () => {
      const represent = jest.spyOn(service.model, 'represent');
      await json('/represent', { img: dataUri(alice), align: 'false' });
      expect(represent.mock.calls[0][1]).toMatchObject({ align: false, wholeImage: 'never' });
    });
  });

  describe('POST /represent', () => {
    it('answers a list of lists for a list', async () => {
      const { body } = await json('/represent', { img: [dataUri(alice), base64(couple), dataUri(bob)] });
      expect(body.results.map((faces: unknown[]) => faces.length)).toEqual([1, 2, 1]);
    });

    it('answers a list of lists for repeated parts', async () => {
      const form = service.http
        .post('/represent')
        .attach('img', alice, 'a.jpg')
        .attach('img', couple, 'b.jpg');
      expect((await form).body.results.map((faces: unknown[]) => faces.length)).toEqual([1, 2]);
    });

    it('takes the largest faces', async () => {
      const { body } = await json('/represent', { img: dataUri(couple), max_faces: 1 });
      expect(body.results).toHaveLength(1);
      expect(body.results[0].facial_area.w).toBe(200);
    });

    it('passes over what is null, empty or unknown', async () => {
      const body = {
        img: dataUri(alice),
        max_faces: null,
        model_name: '',
        return_face: true,
        l2_normalize: 'x',
      };
      expect((await json('/represent', body)).status).toBe(200);
    });

    it('adds nose and mouth for retinaface alone', async () => {
      const { body } = await json('/represent', { img: dataUri(alice), detector_backend: 'fake-detector' });
      expect(body.results[0].facial_area).toEqual(AREA);
    });

    it('says which image of a list has no face', async () => {
      const { status, body } = await json('/represent', { img: [dataUri(alice), dataUri(landscape)] });
      expect([status, body]).toEqual([400, error('representing', 'img[1]: No face was found')]);
    });
  });

  describe('POST /analyze', () => {
    const region = { region: AREA, face_confidence: 0.99 };

    it('answers all that models are there for, in percent', async () => {
      const face = {
        person: 'carol',
        age: 31.9,
        race: 'white',
        raceScores: { asian: 0.1, white: 0.9 },
      };
      const carol = Buffer.from('carol');
      service.model.addImage(carol, { faces: [face] });
      const { status, body } = await json('/analyze', { img: dataUri(carol) });
      expect(status).toBe(200);
      expect(body.results).toEqual([
        {
          age: 31,
          gender: { Woman: 90, Man: 10 },
          dominant_gender: 'Woman',
          emotion: { angry: 0, disgust: 0, fear: 0, happy: 0, sad: 0, surprise: 0, neutral: 100 },
          dominant_emotion: 'neutral',
          race: { asian: 10, white: 90 },
          dominant_race: 'white',
          ...region,
        },
      ]);
    });

    it.each<[unknown, string]>([
      [['gender', 'age'], 'gender,dominant_gender,age,region,face_confidence'],
      ['[age, gender]', 'age,gender,dominant_gender,region,face_confidence'],
      [`('emotion',)`, 'emotion,dominant_emotion,region,face_confidence'],
      ['"age"', 'age,region,face_confidence'],
      [['age', 'age'], 'age,region,face_confidence'],
    ])('answers %p and no more', async (actions, keys) => {
      const { body } = await json('/analyze', { img: dataUri(alice), actions });
      expect(Object.keys(body.results[0]).join()).toBe(keys);
    });

    it('takes actions of a form as text and as repeated fields', async () => {
      const text = service.http.post('/analyze').attach('img', alice, 'a').field('actions', '[age, gender]');
      expect(Object.keys((await text).body.results[0])).toContain('dominant_gender');
      const form = `actions=age&actions=gender&${new URLSearchParams({ img: dataUri(alice) })}`;
      const type = { 'content-type': 'application/x-www-form-urlencoded' };
      const { body } = await post(service.app, '/analyze', type, form);
      expect(Object.keys((body.results as object[])[0])).toContain('dominant_gender');
    });

    it('leaves out actions without a model, and says which model one needs where none is left', async () => {
      const [detector, embedder] = service.model.models();
      const spy = jest.spyOn(service.model, 'models');
      spy.mockReturnValue([detector, embedder, { ...detector, name: 'x', attributes: ['age', 'gender'] }]);
      const partly = await json('/analyze', { img: dataUri(alice), actions: ['race', 'age', 'emotion'] });
      expect(partly.headers['x-likeness-omitted']).toBe('race, emotion');
      expect(Object.keys(partly.body.results[0]).join()).toBe('age,region,face_confidence');
      const refused = await json('/analyze', { img: dataUri(alice), actions: ['race'] });
      expect([refused.status, refused.body]).toEqual([
        400,
        error(
          'analyzing',
          'No model for action race is loaded. Get its file first: likeness models import race',
        ),
      ]);
      expect(refused.body.error).toContain('POST /admin/models/race/load');
      const { body, headers } = await json('/analyze', { img: dataUri(alice) });
      expect(Object.keys(body.results[0]).join()).toBe('age,gender,dominant_gender,region,face_confidence');
      expect(headers['x-likeness-omitted']).toBe('emotion, race');
    });

    it('refuses an image without a face, takes it whole where asked', async () => {
      const refused = await json('/analyze', { img: dataUri(landscape) });
      expect([refused.status, refused.body]).toEqual([400, error('analyzing', 'img: No face was found')]);
      const { body } = await json('/analyze', {
        img: dataUri(landscape),
        actions: 'age',
        enforce_detection: false,
      });
      expect(body.results).toEqual([{ age: 30, region: WHOLE, face_confidence: 0 }]);
    });
  });

  describe('POST /register and /search', () => {
    let stored: TestApp;

    beforeEach(async () => {
      stored = await createApp({ FACE_DEEPFACE_ALIASES: ALIASES });
      for (const [image, people] of [
        [alice, ['alice']],
        [alice2, ['alice']],
        [bob, ['bob']],
        [couple, ['bob', 'alice']],
        [landscape, []],
      ] as const) {
        stored.model.addImage(image, { faces: people.map((person) => ({ person })) });
      }
    });
    afterEach(() => stored.app.close());

    const register = (image: Buffer, options: object = {}) =>
      stored.http.post('/register').send({ img: dataUri(image), ...options });
    const search = (image: Buffer, options: object = {}) =>
      stored.http.post('/search').send({ img: dataUri(image), ...options });

    it('adds every face, each once', async () => {
      expect((await register(couple, { img_name: 'couple' })).body).toEqual({ inserted: 2 });
      expect((await register(couple, { img_name: 'again' })).body).toEqual({ inserted: 0 });
      expect((await register(alice)).body).toEqual({ inserted: 1 });
      const both = await stored.http.post('/register').send({ img: [dataUri(alice), dataUri(bob)] });
      expect(both.body).toEqual({ inserted: 1 });
      const other = await register(alice, { l2_normalize: true });
      expect(other.body).toEqual({ inserted: 1 });
    });

    it('adds a face once where two requests bring it at the same time', async () => {
      const answers = await Promise.all([register(alice), register(alice), register(alice)]);
      expect(answers.map(({ body }) => body.inserted).sort()).toEqual([0, 0, 1]);
    });

    it('finds registered faces, with the columns of DeepFace in its order', async () => {
      await register(alice, { img_name: 'alice.jpg' });
      await register(bob, { img_name: 'bob.jpg' });
      const { status, body } = await search(alice2, { model_name: 'Dlib', detector_backend: 'opencv' });
      expect(status).toBe(200);
      const [id] = body.results[0].map((row: { id: string }) => row.id);
      expect(body.results).toEqual([
        [
          {
            id: expect.any(String),
            img_name: 'alice.jpg',
            model_name: 'Dlib',
            detector_backend: 'opencv',
            aligned: true,
            l2_normalized: false,
            search_method: 'exact',
            target_x: BOX.x,
            target_y: BOX.y,
            target_w: BOX.w,
            target_h: BOX.h,
            threshold: expect.closeTo(0.534949, 6),
            distance_metric: 'cosine',
            distance: 0,
            confidence: 100,
          },
        ],
      ]);
      expect(Object.keys(body.results[0][0]).join()).toBe(
        'id,img_name,model_name,detector_backend,aligned,l2_normalized,search_method,target_x,target_y,target_w,target_h,' +
          'threshold,distance_metric,distance,confidence',
      );
      const subject = await stored.http.get(`/v1/galleries/deepface-fake00000000/subjects/${id}`);
      expect(subject.body.metadata).toMatchObject({ img_name: 'alice.jpg', aligned: true });
    });

    it('gives a name of its own to each face without one', async () => {
      await register(couple);
      const { body } = await search(couple);
      const names = body.results.map(([{ img_name }]: { img_name: string }[]) => img_name);
      expect(new Set(names).size).toBe(2);
      expect(names[0]).toMatch(/^[\da-f-]{36}$/);
    });

    it('answers a list for each face, empty where nobody is near', async () => {
      await register(alice);
      const { body } = await search(couple);
      expect(body.results.map((rows: unknown[]) => rows.length)).toEqual([0, 1]);
    });

    it.each(['exact', 'ann'])(
      'ranks what is beyond the threshold, and cuts at k, with %s',
      async (search_method) => {
        await register(alice);
        await register(couple);
        const all = await search(alice2, { similarity_search: true, search_method });
        const distances = all.body.results[0].map((row: { distance: number }) => row.distance);
        expect(distances).toHaveLength(3);
        expect(distances).toEqual([...distances].sort((a: number, b: number) => a - b));
        expect(all.body.results[0][0].search_method).toBe(search_method);
        for (const [k, count] of [
          [1, 1],
          ['2', 2],
          [0, 3],
          [5000, 3],
        ]) {
          const { body } = await search(alice2, { similarity_search: true, search_method, k });
          expect(body.results[0]).toHaveLength(count as number);
        }
      },
    );

    it.each(['cosine', 'euclidean', 'euclidean_l2', 'angular'])(
      'measures by %s as /verify does',
      async (metric) => {
        await register(bob);
        const found = await search(alice, { similarity_search: true, distance_metric: metric });
        const verified = await stored.http
          .post('/verify')
          .send({ img1: dataUri(alice), img2: dataUri(bob), distance_metric: metric });
        expect(found.body.results[0][0].distance).toBe(verified.body.distance);
      },
    );

    it('finds what was registered with the same options only', async () => {
      await register(alice, { align: false });
      await register(bob, { l2_normalize: 'true' });
      expect((await search(alice, { align: false })).body.results[0]).toHaveLength(1);
      expect((await search(bob, { l2_normalize: 1 })).body.results[0]).toHaveLength(1);
      expect((await search(alice)).status).toBe(400);
      expect((await search(alice, { detector_backend: 'skip' })).status).toBe(400);
    });

    it('says where nothing is registered', async () => {
      const { status, body } = await search(alice);
      expect([status, body]).toEqual([400, error('searching', 'No face is registered for this model')]);
    });

    it('leaves nothing behind of an image without a face, nor of a gallery that is full', async () => {
      const refused = await stored.http.post('/register').send({ img: [dataUri(alice), dataUri(landscape)] });
      expect([refused.status, refused.body]).toEqual([
        400,
        error('registering', 'img[1]: No face was found'),
      ]);
      await register(alice);
      await stored.http.patch('/v1/galleries/deepface-fake00000000').send({ capacity: 1 }).expect(200);
      const full = await register(bob);
      expect(full.status).toBe(507);
      expect(full.body).toEqual({
        error: expect.stringContaining('Exception while registering: '),
        code: 'GALLERY_FULL',
        requestId: full.headers['x-request-id'],
      });
      const { body } = await stored.http.get('/v1/galleries/deepface-fake00000000');
      expect(body).toMatchObject({ subjectCount: 1, referenceCount: 1 });
    });
  });

  describe('POST /build/index', () => {
    it.each([{}, { model_name: 'Dlib', detector_backend: 'opencv', align: true }])(
      'has nothing to do: %p',
      async (body) => {
        const response = await json('/build/index', body);
        expect([response.status, response.body]).toEqual([200, { message: 'Index built successfully' }]);
      },
    );

    it('knows its models', async () => {
      const { status, body } = await json('/build/index', { model_name: 'nobody' });
      expect([status, body]).toEqual([400, error('building index', 'model_name "nobody" is unknown.')]);
    });
  });

  describe('errors', () => {
    const image = dataUri(alice);

    it.each<[string, object]>([
      ['img1', {}],
      ['img1', { img2: image }],
      ['img2', { img1: image }],
      ['img2', { img1: image, img2: '' }],
      ['img1', { img1: null, img2: image }],
      ['img1', { img1: [], img2: image }],
    ])('say that %s is missing', async (field, body) => {
      const response = await json('/verify', body);
      expect([response.status, response.body]).toEqual([
        400,
        { exception: `'${field}' not found in the JSON or the form of the request.` },
      ]);
    });

    it('say so for a body of nothing, and of another type', async () => {
      const empty = await post(service.app, '/represent', { 'content-length': '0' }, '');
      expect([empty.status, empty.body]).toEqual([400, { exception: expect.stringContaining(`'img'`) }]);
      const other = await post(service.app, '/represent', { 'content-type': 'image/jpeg' }, 'x');
      expect([other.status, other.body]).toEqual([400, { exception: expect.stringContaining('multipart') }]);
    });

    it.each<[string, object]>([
      ['The URL for img is on a host', { img: 'https://example.com/a.jpg' }],
      ['file paths are not supported', { img: 'dataset/img1.jpg' }],
      ['file paths are not supported', { img: '/etc/passwd' }],
      ['file paths are not supported', { img: 'file:///etc/passwd' }],
      ['img must be base64, a data URI', { img: 7 }],
      ['img[1] must be base64', { img: [image, { a: 1 }] }],
      ['anti_spoofing must be true or false', { img: image, anti_spoofing: 'maybe' }],
      ['align must be true or false', { img: image, align: 'maybe' }],
      ['max_faces must', { img: image, max_faces: 0 }],
    ])('say what is wrong: %s', async (text, body) => {
      const response = await json('/represent', body);
      expect([response.status, response.body]).toEqual([400, { error: expect.stringContaining(text) }]);
      expect(response.body.error).toContain('Exception while representing: ');
    });

    it.each<[string, string, object]>([
      ['/verify', 'distance_metric', { img1: image, img2: image, distance_metric: 'manhattan' }],
      ['/verify', 'threshold', { img1: image, img2: image, threshold: -1 }],
      ['/analyze', 'actions', { img: image, actions: ['age', 'height'] }],
      ['/analyze', 'actions', { img: image, actions: [] }],
      ['/register', 'expand_percentage', { img: image, expand_percentage: 10 }],
      ['/register', 'normalization', { img: image, normalization: 'mine' }],
      ['/search', 'search_method', { img: image, search_method: 'fast' }],
    ])('of %s name %s', async (path, field, body) => {
      const response = await json(path, body);
      expect([response.status, response.body]).toEqual([
        400,
        { error: expect.stringContaining(`Invalid: ${field}`) },
      ]);
    });

    it.each([
      [
        'VGG-Face',
        'is not loaded. Get its file first: likeness models import vgg-face ~/.deepface/weights/vgg_face_weights.h5',
      ],
      ['SFace', 'is not loaded. Get its file first: likeness models pull sface.'],
      ['DeepFace', 'of DeepFace is not available in this service.'],
      ['nobody', 'is unknown. Loaded: fake-embedder.'],
      ['constructor', 'is unknown.'],
    ])('of model_name %s say what to do', async (model_name, text) => {
      const { status, body } = await json('/represent', { img: image, model_name });
      expect([status, body]).toEqual([400, error('representing', `model_name "${model_name}" ${text}`)]);
    });

    it('of a file that is no image are exceptions, of a text errors', async () => {
      const refusal = new FaceError('IMAGE_UNSUPPORTED', 'Expected a JPEG.');
      jest.spyOn(service.model, 'represent').mockRejectedValue(refusal);
      const file = await service.http.post('/represent').attach('img', bob, 'x.txt');
      expect([file.status, file.body]).toEqual([400, { exception: 'img: Expected a JPEG.' }]);
      const text = await json('/represent', { img: image });
      expect([text.status, text.body]).toEqual([400, error('representing', 'img: Expected a JPEG.')]);
    });

    it.each<['QUEUE_FULL' | 'CALLER_QUEUE_FULL' | 'INFERENCE_TIMEOUT', number]>([
      ['QUEUE_FULL', 503],
      ['CALLER_QUEUE_FULL', 429],
      ['INFERENCE_TIMEOUT', 504],
    ])('that DeepFace does not have keep their status: %s', async (code, status) => {
      const refusal = new FaceError(code, 'Later.', { retryAfterSeconds: 4 });
      jest.spyOn(service.model, 'represent').mockRejectedValue(refusal);
      const response = await json('/represent', { img: image });
      expect(response.status).toBe(status);
      expect(response.headers['retry-after']).toBe('4');
      const requestId = response.headers['x-request-id'];
      expect(response.body).toEqual({ error: 'Exception while representing: Later.', code, requestId });
    });

    it('that are the service’s own fault tell nothing', async () => {
      jest.spyOn(service.model, 'represent').mockRejectedValue(new Error('secret'));
      const { status, body, text } = await json('/represent', { img: image });
      expect([status, body.code]).toEqual([500, 'INTERNAL_ERROR']);
      expect(text).not.toContain('secret');
    });

    it('of a body come in the same shape', async () => {
      const type = { 'content-type': 'application/json' };
      for (const text of ['{', '[]', 'null']) {
        const { status, body } = await post(service.app, '/verify', type, text);
        expect([status, Object.keys(body)]).toEqual([400, [expect.stringMatching(/^(error|exception)$/)]]);
      }
      const large = await json('/represent', { img: Array.from({ length: 5 }, () => image) });
      expect([large.status, large.body.code]).toEqual([413, 'REQUEST_TOO_LARGE']);
      const wrong = service.http.post('/represent').attach('image', alice, 'a.jpg');
      expect((await wrong).body).toEqual(error('representing', 'Invalid: image must not be a file.'));
    });
  });

  describe('with a token', () => {
    let guarded: TestApp;

    beforeAll(async () => {
      guarded = await createApp({ DEEPFACE_AUTH_TOKEN: 'open-sesame' });
      guarded.model.addImage(alice, { faces: [{ person: 'alice' }] });
    });
    afterAll(() => guarded.app.close());

    it.each(['/verify', '/represent', '/analyze', '/register', '/search', '/build/index'])(
      'guards %s',
      async (path) => {
        for (const header of ['', 'Bearer', 'Bearer wrong', 'Basic open-sesame', 'open-sesame']) {
          const { status, body } = await guarded.http.post(path).set('authorization', header).send({});
          expect([status, body]).toEqual([401, { message: 'Invalid or missing authentication token' }]);
        }
      },
    );

    it('guards every spelling of the path that leads there', async () => {
      for (const path of ['/verify/', '/VERIFY', '/Verify/', '/verify?x=1']) {
        expect((await guarded.http.post(path).send({})).status).toBe(401);
      }
    });

    it('lets the holder in, and everybody to GET / and the native routes', async () => {
      const open = await guarded.http
        .post('/represent')
        .set('authorization', 'Bearer open-sesame')
        .send({ img: dataUri(alice) });
      expect(open.status).toBe(200);
      expect((await guarded.http.get('/')).status).toBe(200);
      expect((await guarded.http.post('/v1/detect').send({ image: dataUri(alice) })).status).toBe(200);
    });
  });

  it('ends the boot where an alias leads to no card', async () => {
    await expect(createApp({ FACE_DEEPFACE_ALIASES: 'opencv=nothing' })).rejects.toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      message: expect.stringContaining('FACE_DEEPFACE_ALIASES'),
    });
  });

  it('is not there where it is switched off', async () => {
    const off = await createApp({ FACE_FEATURES: '-deepface', DEEPFACE_AUTH_TOKEN: 'token' });
    const responses = [
      await off.http.get('/'),
      await off.http.post('/verify').send({}),
      await off.http.post('/build/index').send({}),
    ];
    for (const { status, body } of responses) expect([status, body.error.code]).toEqual([404, 'NOT_FOUND']);
    await off.app.close();
  });

  it('has the nose and the mouth where the detector is a retinaface', async () => {
    const [detector, ...others] = service.model.models();
    jest
      .spyOn(service.model, 'models')
      .mockReturnValue([{ ...detector, name: 'retinaface-mnet025' }, ...others]);
    const represent = service.model.represent.bind(service.model);
    jest
      .spyOn(service.model, 'represent')
      .mockImplementation((bytes, options) => represent(bytes, { ...options, detector: undefined }));
    const { body } = await json('/represent', {
      img: dataUri(alice),
      detector_backend: 'retinaface-mnet025',
    });
    expect(body.results[0].facial_area).toEqual({
      ...AREA,
      nose: [120, 220],
      mouth_left: [150, 260],
      mouth_right: [90, 260],
    });
  });
});
