import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { FaceError } from '../../src/errors';
import type { FaceCallOptions } from '../../src/face/face-model';
import { createApp, type TestApp } from '../support/create-app';

const alice = Buffer.from('a photo of alice');
const alice2 = Buffer.from('another photo of alice');
const bob = Buffer.from('a photo of bob');
const crowd = Buffer.from('alice, bob and carol');
const empty = Buffer.from('a landscape');
const dataUri = (image: Buffer) => `data:image/jpeg;base64,${image.toString('base64')}`;

const point = { x: expect.any(Number), y: expect.any(Number) };
const face = {
  box: { ...point, width: expect.any(Number), height: expect.any(Number) },
  landmarks: {
    imageLeftEye: point,
    imageRightEye: point,
    noseTip: point,
    imageLeftMouth: point,
    imageRightMouth: point,
  },
  detectionScore: 0.99,
  alignmentScore: 0.99,
};
const timings = {
  queueMs: 0,
  decodeMs: 0,
  detectMs: 0,
  alignMs: 0,
  embedMs: 0,
  attributesMs: 0,
  presentationAttackMs: 0,
};
const comparedImage = { imageWidth: 640, imageHeight: 480, rotation: 0 };
const imageResult = { ...comparedImage, detectionScale: 1, detector: 'fake-detector', timings };

describe('HTTP service', () => {
  let service: TestApp;

  beforeAll(async () => {
    service = await createApp({ FACE_MAX_IMAGES: '4' });
    service.model
      .addImage(alice, { faces: [{ person: 'alice' }] })
      .addImage(alice2, { faces: [{ person: 'alice' }] })
      .addImage(bob, { faces: [{ person: 'bob' }] })
      .addImage(crowd, { faces: [{ person: 'bob' }, { person: 'alice' }, { person: 'carol' }] })
      .addImage(empty, { faces: [] });
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => service.app.close());

  describe('POST /v1/verify', () => {
    it('compares two files', async () => {
      const { status, body, headers } = await service.http
        .post('/v1/verify')
        .attach('probe', alice, 'alice.jpg')
        .attach('reference', alice2, 'alice2.jpg');
      expect(status).toBe(200);
      expect(body).toEqual({
        verified: true,
        decision: 'match',
        falseMatchRate: 0.000001,
        targetFmr: 0.00005,
        reason: null,
        distance: 0,
        similarity: 1,
        threshold: expect.closeTo(0.534949, 6),
        metric: 'cosine',
        probe: face,
        reference: face,
        images: { probe: comparedImage, reference: comparedImage },
        detector: 'fake-detector',
        embedder: 'fake-embedder',
        contract: 'fake00000000',
        timings: { probe: timings, reference: timings },
        requestId: headers['x-request-id'],
      });
    });

    it.each([
      ['base64', (image: Buffer) => image.toString('base64')],
      [
        'base64 with line breaks',
        (image: Buffer) => `${image.toString('base64').replace(/.{8}/g, '$&\n')}\n`,
      ],
      ['data URIs', dataUri],
    ])('compares %s in JSON and in text parts', async (_name, encode) => {
      const body = { probe: encode(alice), reference: encode(bob) };
      const json = await service.http.post('/v1/verify').send(body);
      const form = await service.http
        .post('/v1/verify')
        .field('probe', body.probe)
        .field('reference', body.reference);
      for (const response of [json, form]) {
        expect(response.status).toBe(200);
        expect(response.body).toMatchObject({ verified: false, probe: face, reference: face });
      }
    });

    it('compares embeddings of /v1/represent, with each other and with images', async () => {
      const represented = await service.http.post('/v1/represent').send({ image: dataUri(alice) });
      const { embedding, embeddingNorm } = represented.body.faces[0];
      const probe = { embedding, embeddingNorm, contract: represented.body.contract };
      const both = await service.http.post('/v1/verify').send({ probe, reference: probe });
      expect(both.body).toMatchObject({
        verified: true,
        distance: 0,
        probe: null,
        reference: null,
        detector: null,
        timings: { probe: null, reference: null },
      });
      const mixed = await service.http
        .post('/v1/verify')
        .field('probe', JSON.stringify(probe))
        .attach('reference', alice2, 'alice2.jpg');
      expect(mixed.status).toBe(200);
      expect(mixed.body).toMatchObject({
        verified: true,
        probe: null,
        reference: face,
        detector: 'fake-detector',
      });
    });

    it('takes options as JSON values and as text parts', async () => {
      const options = { metric: 'angular', threshold: 0, minDetectionScore: 0.5, faceSelection: 'single' };
      const json = await service.http
        .post('/v1/verify')
        .send({ probe: dataUri(alice), reference: dataUri(alice2), ...options });
      const form = service.http
        .post('/v1/verify')
        .attach('probe', alice, 'a')
        .attach('reference', alice2, 'b');
      for (const [name, value] of Object.entries(options)) void form.field(name, String(value));
      for (const { status, body } of [json, await form]) {
        expect(status).toBe(200);
        expect(body).toMatchObject({ verified: true, distance: 0, threshold: 0, metric: 'angular' });
      }
    });

    it('takes an error rate and a margin for review as JSON values and as text parts', async () => {
      const options = { targetFmr: 0.001, reviewMargin: 0.7 };
      const json = await service.http
        .post('/v1/verify')
        .send({ probe: dataUri(alice), reference: dataUri(alice2), ...options });
      const form = await service.http
        .post('/v1/verify')
        .attach('probe', alice, 'a')
        .attach('reference', alice2, 'b')
        .field('targetFmr', '1e-3')
        .field('reviewMargin', '0.7');
      for (const { status, body } of [json, form]) {
        expect(status).toBe(200);
        const threshold = expect.closeTo(0.6, 9);
        expect(body).toMatchObject({ verified: true, decision: 'review', threshold, targetFmr: 0.001 });
      }
    });

    it('never verifies two images without a face', async () => {
      const answers = ['ifNoFace', 'always'].map((wholeImage) =>
        service.http
          .post('/v1/verify')
          .send({ probe: dataUri(empty), reference: dataUri(empty), wholeImage }),
      );
      const [refused, skipped] = (await Promise.all(answers)).map(({ body }) => body);
      expect(refused).toMatchObject({ verified: false, decision: 'no_match', reason: 'no_face' });
      expect(refused.distance).toBe(0);
      expect(skipped).toMatchObject({ verified: true, decision: 'match', reason: null });
      expect([refused.falseMatchRate, skipped.falseMatchRate]).toEqual([null, null]);
    });

    it('compares the largest faces by default, and the closest pair of all', async () => {
      const verify = (options: object) =>
        service.http
          .post('/v1/verify')
          .send({ probe: dataUri(alice), reference: dataUri(crowd), ...options });
      expect((await verify({})).body.verified).toBe(false);
      expect((await verify({ faceSelection: 'all' })).body.verified).toBe(true);
    });

    it.each([
      ['probe', empty, alice],
      ['reference', alice, empty],
    ])('says that %s has no face', async (field, probe, reference) => {
      const { status, body } = await service.http
        .post('/v1/verify')
        .send({ probe: dataUri(probe), reference: dataUri(reference) });
      expect(status).toBe(422);
      expect(body.error).toMatchObject({ code: 'FACE_NOT_DETECTED', details: { field } });
    });
  });

  describe('POST /v1/represent', () => {
    const representation = {
      ...imageResult,
      faceCount: 1,
      unalignedCount: 0,
      faces: [{ ...face, embedding: expect.any(Array), embeddingNorm: 1 }],
      embedder: 'fake-embedder',
      contract: 'fake00000000',
      dimensions: 512,
    };

    it('answers one image with one result', async () => {
      for (const response of [
        await service.http.post('/v1/represent').attach('image', alice, 'alice.jpg'),
        await service.http.post('/v1/represent').field('image', dataUri(alice)),
        await service.http.post('/v1/represent').send({ image: alice.toString('base64') }),
      ]) {
        expect(response.status).toBe(200);
        expect(response.body).toEqual({ ...representation, requestId: response.headers['x-request-id'] });
        expect(response.body.faces[0].embedding).toHaveLength(512);
      }
    });

    it('answers a list with a result or an error for each image', async () => {
      const json = service.http
        .post('/v1/represent')
        .send({ image: [dataUri(alice), dataUri(empty), dataUri(bob)] });
      const form = service.http
        .post('/v1/represent')
        .attach('image', alice, 'alice.jpg')
        .attach('image', empty, 'empty.jpg')
        .field('image', dataUri(bob));
      for (const { status, body, headers } of [await json, await form]) {
        expect(status).toBe(200);
        expect(body).toEqual({
          results: [
            { index: 0, ...representation },
            {
              index: 1,
              error: {
                code: 'FACE_NOT_DETECTED',
                message: 'No face was found in the image.',
                details: { field: 'image', index: 1 },
              },
            },
            { index: 2, ...representation },
          ],
          requestId: headers['x-request-id'],
        });
      }
    });

    it('answers a list of one with a list, and an unexpected failure of one image without its cause', async () => {
      const { status, body } = await service.http
        .post('/v1/represent')
        .send({ image: [Buffer.from('never announced').toString('base64')] });
      expect(status).toBe(200);
      expect(body.results).toHaveLength(1);
      expect(body.results[0].error).toMatchObject({ code: 'INTERNAL_ERROR', details: { index: 0 } });
      expect(JSON.stringify(body)).not.toContain('announced');
    });

    it('refuses a list as a whole where a parameter is wrong', async () => {
      const { status, body } = await service.http
        .post('/v1/represent')
        .send({ image: [dataUri(alice), dataUri(bob)], embedder: 'unknown' });
      expect(status).toBe(400);
      expect(body.error).toMatchObject({ code: 'MODEL_UNKNOWN', details: { field: 'embedder' } });
    });

    it('limits the faces', async () => {
      const { body } = await service.http
        .post('/v1/represent')
        .attach('image', crowd, 'c')
        .field('maxFaces', '2');
      expect(body.faceCount).toBe(3);
      expect(body.faces).toHaveLength(2);
    });
  });

  it('POST /v1/detect finds faces, and an empty list where there is none', async () => {
    const found = await service.http.post('/v1/detect').attach('image', crowd, 'crowd.jpg');
    expect(found.status).toBe(200);
    expect(found.body).toEqual({
      ...imageResult,
      faceCount: 3,
      faces: [face, face, face],
      requestId: found.headers['x-request-id'],
    });
    const none = await service.http.post('/v1/detect').send({ image: dataUri(empty) });
    expect(none.status).toBe(200);
    expect(none.body.faces).toEqual([]);
  });

  it('POST /v1/analyze estimates attributes', async () => {
    const { status, body } = await service.http.post('/v1/analyze').attach('image', alice, 'alice.jpg');
    expect(status).toBe(200);
    expect(body.faces).toEqual([
      {
        ...face,
        age: 30,
        gender: 'female',
        genderScores: { female: 0.9, male: 0.1 },
        expression: 'neutral',
        expressionScores: expect.objectContaining({ neutral: 1, surprised: 0 }),
        race: 'asian',
        raceScores: expect.objectContaining({ asian: 0.5, white: 0.1 }),
      },
    ]);
  });

  it('POST /v1/analyze estimates what is asked for, as a list or as text', async () => {
    for (const { status, body } of [
      await service.http.post('/v1/analyze').send({ image: dataUri(alice), attributes: ['gender', 'age'] }),
      await service.http.post('/v1/analyze').attach('image', alice, 'a').field('attributes', 'age, gender'),
    ]) {
      expect(status).toBe(200);
      expect(body.faces).toEqual([
        { ...face, age: 30, gender: 'female', genderScores: { female: 0.9, male: 0.1 } },
      ]);
    }
  });

  it('takes the whole image for the face where it is asked to', async () => {
    const whole = {
      box: { x: 0, y: 0, width: 640, height: 480 },
      landmarks: null,
      detectionScore: 0,
      alignmentScore: null,
    };
    const post = (route: string, image: Buffer, wholeImage: string) =>
      service.http.post(`/v1/${route}`).attach('image', image, 'i').field('wholeImage', wholeImage);
    for (const route of ['detect', 'represent', 'analyze']) {
      for (const { body } of [await post(route, alice, 'always'), await post(route, empty, 'ifNoFace')]) {
        expect(body).toMatchObject({ faceCount: 0, faces: [whole] });
      }
      expect((await post(route, crowd, 'ifNoFace')).body.faces).toHaveLength(3);
    }
    expect((await post('detect', alice, 'always')).body.detector).toBeNull();
    expect((await post('detect', empty, 'ifNoFace')).body.detector).toBe('fake-detector');
    expect((await post('represent', empty, 'never')).body.error.code).toBe('FACE_NOT_DETECTED');
    const { body } = await service.http
      .post('/v1/verify')
      .send({ probe: dataUri(alice), reference: dataUri(alice2), wholeImage: 'always' });
    expect(body).toMatchObject({ verified: true, probe: whole, reference: whole, detector: null });
  });

  describe('a photo that lies on its side', () => {
    const sideways = Buffer.from('sideways');
    beforeAll(() => service.model.addImage(sideways, { rotation: 90, faces: [{ person: 'alice' }] }));

    it.each(['detect', 'represent', 'analyze'])('is turned by %s', async (route) => {
      const turned = await service.http.post(`/v1/${route}`).attach('image', sideways, 'sideways.jpg');
      expect([turned.status, turned.body.rotation]).toEqual([200, 90]);
    });

    it('is compared, and either side says how it was turned; an embedding was not', async () => {
      const { body } = await service.http
        .post('/v1/verify')
        .send({ probe: dataUri(sideways), reference: dataUri(alice) });
      expect(body).toMatchObject({
        verified: true,
        images: { probe: { ...comparedImage, rotation: 90 }, reference: comparedImage },
      });
      const [{ embedding }] = (await service.model.represent(alice)).faces;
      const reference = { embedding: Array.from(embedding), contract: 'fake00000000' };
      const mixed = await service.http.post('/v1/verify').send({ probe: dataUri(sideways), reference });
      expect(mixed.body.images).toEqual({ probe: { ...comparedImage, rotation: 90 }, reference: null });
    });

    it('is refused where it may not be turned, in JSON and in multipart', async () => {
      const json = service.http
        .post('/v1/verify')
        .send({ probe: dataUri(alice), reference: dataUri(sideways), autoRotate: false });
      const form = service.http
        .post('/v1/verify')
        .attach('probe', alice, 'alice.jpg')
        .attach('reference', sideways, 'sideways.jpg')
        .field('autoRotate', 'false');
      for (const { status, body } of [await json, await form]) {
        expect([status, body.error]).toEqual([
          422,
          {
            code: 'FACE_NOT_DETECTED',
            message: 'A face was found, but it is not upright and aligned well enough to be compared.',
            details: { field: 'reference', reason: 'not_aligned', unalignedCount: 1 },
          },
        ]);
      }
      const wrong = await service.http
        .post('/v1/detect')
        .attach('image', alice, 'alice.jpg')
        .field('autoRotate', 'no');
      expect([wrong.status, wrong.body.error.details.fields]).toEqual([
        400,
        { autoRotate: 'must be true or false' },
      ]);
    });
  });

  it('keeps faces that were not aligned apart from those that were', async () => {
    const represent = async (align: string) => {
      const answer = await service.http
        .post('/v1/represent')
        .attach('image', alice, 'a')
        .field('align', align);
      const { contract, faces } = answer.body;
      return { contract, embedding: faces[0].embedding };
    };
    const [aligned, cut] = [await represent('true'), await represent('false')];
    expect([aligned.contract, cut.contract]).toEqual(['fake00000000', 'fake0000b0c5']);
    const verify = (probe: object, align: boolean) =>
      service.http.post('/v1/verify').send({ probe, reference: dataUri(alice), align });
    expect((await verify(cut, false)).body).toMatchObject({ verified: true, contract: cut.contract });
    expect((await verify(aligned, true)).body).toMatchObject({ verified: true, contract: aligned.contract });
    expect((await verify(cut, true)).body.error.code).toBe('EMBEDDING_CONTRACT_MISMATCH');
    const { status, body } = await service.http.post('/v1/distances').send({
      probes: [cut.embedding],
      references: [cut.embedding],
      contract: cut.contract,
    });
    expect([status, body.contract]).toEqual([200, cut.contract]);
  });

  it.each([
    ['detect', 'wholeImage', 'sometimes'],
    ['detect', 'wholeImage', null],
    ['represent', 'align', 'yes'],
    ['represent', 'align', 0],
    ['verify', 'align', null],
    ['analyze', 'attributes', ['mood']],
    ['analyze', 'attributes', []],
    ['analyze', 'attributes', ''],
    ['analyze', 'attributes', ['age', 'age']],
    ['analyze', 'attributes', { age: true }],
    ['analyze', 'attributes', null],
  ])('%s refuses %s of %j by its name', async (route, field, value) => {
    const images =
      route === 'verify' ? { probe: dataUri(alice), reference: dataUri(bob) } : { image: dataUri(alice) };
    const { status, body } = await service.http.post(`/v1/${route}`).send({ ...images, [field]: value });
    expect([status, body.error.code]).toEqual([400, 'PARAMETER_INVALID']);
    expect(Object.keys(body.error.details.fields)).toEqual([field]);
  });

  it('GET /v1/models lists models and defaults', async () => {
    const { status, body, headers } = await service.http.get('/v1/models');
    expect(status).toBe(200);
    const { calibration } = body.models.find(({ task }: { task: string }) => task === 'embed').embedder;
    expect(calibration.points).toHaveLength(7);
    expect(body).toEqual({
      models: service.model.models(),
      defaults: { detector: 'fake-detector', embedder: 'fake-embedder' },
      requestId: headers['x-request-id'],
    });
  });

  it('GET /health says that it lives, and whether it is ready', async () => {
    expect((await service.http.get('/health/live').expect(200)).body).toEqual({ status: 'ok' });
    expect((await service.http.get('/health/ready').expect(200)).body).toEqual({ status: 'ready' });
    jest.spyOn(service.model, 'readiness').mockReturnValue({ ready: false, reason: 'shutting down' });
    const { status, body, headers } = await service.http.get('/health/ready');
    expect(status).toBe(503);
    expect(headers['retry-after']).toBe('1');
    expect(body.error).toEqual({
      code: 'NOT_READY',
      message: 'The service is not ready: shutting down.',
      details: { reason: 'shutting down' },
    });
  });

  describe('headers', () => {
    it('keeps a sane request id of the caller, and makes one in place of another', async () => {
      const get = (id: string) => service.http.get('/health/live').set('x-request-id', id);
      expect((await get('job:42_a.b-c')).headers['x-request-id']).toBe('job:42_a.b-c');
      for (const id of ['with space', 'x'.repeat(129), '<script>']) {
        expect((await get(id)).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      }
    });

    it('says the request id in every error, in header and body', async () => {
      for (const response of [
        await service.http.get('/nowhere').set('x-request-id', 'mine'),
        await service.http.post('/v1/detect').set('x-request-id', 'mine').type('json').send('{'),
        await service.http.post('/v1/detect').set('x-request-id', 'mine').send({}),
      ]) {
        expect(response.status).toBeGreaterThanOrEqual(400);
        expect(response.headers['x-request-id']).toBe('mine');
        expect(response.body.requestId).toBe('mine');
      }
    });

    it('says the time of each stage, summed over the images', async () => {
      const stages = {
        queueMs: 1,
        decodeMs: 2,
        detectMs: 3,
        alignMs: 4,
        embedMs: 5,
        attributesMs: 0,
        presentationAttackMs: 0,
      };
      const represent = service.model.represent.bind(service.model);
      jest
        .spyOn(service.model, 'represent')
        .mockImplementation(async (...call) => ({ ...(await represent(...call)), timings: stages }));
      const { headers } = await service.http
        .post('/v1/verify')
        .attach('probe', alice, 'a')
        .attach('reference', bob, 'b');
      expect(headers['server-timing']).toMatch(
        /^queue;dur=2\.0, decode;dur=4\.0, detect;dur=6\.0, align;dur=8\.0, embed;dur=10\.0, attributes;dur=0\.0, presentation_attack;dur=0\.0, total;dur=\d+\.\d$/,
      );
      const list = await service.http
        .post('/v1/represent')
        .send({ image: [dataUri(alice), dataUri(bob), dataUri(empty)] });
      expect(list.headers['server-timing']).toMatch(/^queue;dur=2\.0, decode;dur=4\.0, /);
      const refused = await service.http.post('/v1/detect').send({});
      expect(refused.headers['server-timing']).toMatch(/^total;dur=\d+\.\d$/);
    });

    it('does not say what runs the service', async () => {
      expect((await service.http.get('/health/live')).headers).not.toHaveProperty('x-powered-by');
    });
  });

  describe('failures of the model', () => {
    const detect = () => service.http.post('/v1/detect').attach('image', alice, 'alice.jpg');
    const fail = (error: unknown) => jest.spyOn(service.model, 'detect').mockRejectedValue(error);

    it('asks to try again where the queue is full', async () => {
      fail(new FaceError('QUEUE_FULL', 'The queue is full.', { queueSize: 1 }));
      const { status, headers, body } = await detect();
      expect([status, headers['retry-after']]).toEqual([503, '1']);
      expect(body.error).toEqual({
        code: 'QUEUE_FULL',
        message: 'The queue is full.',
        details: { queueSize: 1 },
      });
    });

    it('names the field of an image that cannot be decoded', async () => {
      fail(
        new FaceError(
          'IMAGE_CORRUPT',
          'The image could not be decoded.',
          {},
          { cause: new Error('libvips says') },
        ),
      );
      const { status, body, text } = await detect();
      expect(status).toBe(422);
      expect(body.error).toMatchObject({ code: 'IMAGE_CORRUPT', details: { field: 'image' } });
      expect(text).not.toContain('libvips');
    });

    it.each([
      ['an error', new Error('secret')],
      ['a text', 'secret'],
      ['nothing', undefined],
      ['an error with a status', Object.assign(new Error('secret'), { status: 400 })],
      ['a code of the boot', new FaceError('MODEL_CHECKSUM_MISMATCH', 'secret', { file: 'secret' })],
    ])('answers %s with 500 and nothing of it', async (_name, thrown) => {
      fail(thrown);
      const { status, body, text } = await detect();
      expect(status).toBe(500);
      expect(body.error.code).toBe('INTERNAL_ERROR');
      expect(text).not.toContain('secret');
    });

    it('says the code of a failed inference, and not its cause', async () => {
      fail(new FaceError('INFERENCE_FAILED', 'The worker ended.', {}, { cause: new Error('secret') }));
      const { status, body, text } = await detect();
      expect([status, body.error.code]).toEqual([500, 'INFERENCE_FAILED']);
      expect(text).not.toContain('secret');
    });
  });

  it('tells the model when the client leaves before the answer', async () => {
    const called = new Promise<FaceCallOptions>((resolve) => {
      jest.spyOn(service.model, 'detect').mockImplementation((_image, options = {}) => {
        resolve(options);
        return new Promise((_resolve, reject) => {
          options.signal?.addEventListener('abort', () => reject(new FaceError('REQUEST_ABORTED', 'Gone.')));
        });
      });
    });
    const body = JSON.stringify({ image: dataUri(alice) });
    const { port } = service.app.getHttpServer().address() as AddressInfo;
    const client = connect(port, '127.0.0.1');
    client.write(
      `POST /v1/detect HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const { signal } = await called;
    expect(signal?.aborted).toBe(false);
    const aborted = once(signal as AbortSignal, 'abort');
    client.destroy();
    await aborted;
  });

  it('does not abort where the client got its answer', async () => {
    const detect = jest.spyOn(service.model, 'detect');
    await service.http.post('/v1/detect').set('connection', 'close').attach('image', alice, 'a').expect(200);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(detect.mock.calls[0][1]?.signal?.aborted).toBe(false);
  });
});
