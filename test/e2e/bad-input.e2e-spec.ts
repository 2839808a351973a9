import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Response, Test } from 'supertest';
import type { FaceErrorCode } from '../../src/errors';
import { createApp, type TestApp } from '../support/create-app';
import { documentedErrors } from '../support/documented-errors';

const MAX_IMAGE_BYTES = 3000;
const good = Buffer.from('a good image');
const goodBase64 = good.toString('base64');
const tooLarge = Buffer.alloc(MAX_IMAGE_BYTES + 1, 7);
const openapi = JSON.parse(readFileSync(join(__dirname, '..', '..', 'docs', 'openapi.json'), 'utf8'));

describe('bad input', () => {
  let service: TestApp;
  const post = (route: string) => service.http.post(`/v1/${route}`);

  beforeAll(async () => {
    service = await createApp({
      FACE_MAX_IMAGE_BYTES: String(MAX_IMAGE_BYTES),
      FACE_MAX_IMAGES: '3',
      FACE_MAX_JSON_BYTES: '2000000',
    });
    service.model.addImage(good, { faces: [{ person: 'anyone' }] });
  });
  afterAll(() => service.app.close());

  /** Status, code and details of a refusal, which must be in the envelope, documented, and hold nothing it should not. */
  async function refused(
    test: Test,
    status: number,
    code: FaceErrorCode,
    details: object = {},
  ): Promise<Response> {
    const response = await test;
    expect(response.body).toEqual({
      error: { code, message: expect.any(String), details: expect.objectContaining(details) },
      requestId: response.headers['x-request-id'],
    });
    expect(response.status).toBe(status);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    for (const leak of [
      goodBase64,
      'node_modules',
      '/src/',
      '.ts:',
      '    at ',
      'client-name',
      'Unexpected token',
    ]) {
      expect(response.text).not.toContain(leak);
    }
    const path = new URL(test.url).pathname;
    if (test.method === 'POST' && path in openapi.paths) {
      expect(documentedErrors(openapi, openapi.paths[path].post)).toContainEqual([code, status]);
    }
    return response;
  }

  const oneImage = ['represent', 'detect', 'analyze'];

  describe('images', () => {
    it.each(oneImage)('%s without an image', async (route) => {
      const missing = [400, 'IMAGE_MISSING', { field: 'image' }] as const;
      await refused(post(route).send({}), ...missing);
      await refused(post(route).send({ image: null }), ...missing);
      await refused(post(route).type('json'), ...missing);
      await refused(post(route).field('faceSelection', 'best'), ...missing);
      // A browser sends a file input that was left empty as a part without a file name.
      await refused(post(route).attach('image', Buffer.alloc(0), ''), ...missing);
    });

    it('verify with one side missing', async () => {
      await refused(post('verify').attach('probe', good, 'p'), 400, 'IMAGE_MISSING', { field: 'reference' });
      await refused(post('verify').send({ reference: goodBase64 }), 400, 'IMAGE_MISSING', { field: 'probe' });
    });

    it('an empty list, and an absent item of a list', async () => {
      await refused(post('represent').send({ image: [] }), 400, 'IMAGE_MISSING', { field: 'image' });
      await refused(post('represent').send({ image: [goodBase64, null] }), 400, 'IMAGE_MISSING', {
        field: 'image',
        index: 1,
      });
    });

    it.each(oneImage)('%s with zero bytes', async (route) => {
      const isEmpty = [400, 'IMAGE_EMPTY', { field: 'image' }] as const;
      await refused(post(route).attach('image', Buffer.alloc(0), 'client-name.jpg'), ...isEmpty);
      await refused(post(route).field('image', ''), ...isEmpty);
      await refused(post(route).send({ image: '' }), ...isEmpty);
      await refused(post(route).send({ image: 'data:image/png;base64,' }), ...isEmpty);
    });

    it('one byte over the limit, and not at the limit', async () => {
      const limit = { field: 'probe', maxImageBytes: MAX_IMAGE_BYTES };
      const base64 = tooLarge.toString('base64');
      for (const test of [
        post('verify').attach('probe', tooLarge, 'client-name.jpg').attach('reference', good, 'r'),
        post('verify').field('probe', base64).attach('reference', good, 'r'),
        post('verify').send({ probe: base64, reference: goodBase64 }),
        post('verify').send({ probe: `data:image/jpeg;base64,${base64}`, reference: goodBase64 }),
        post('verify').field('probe', 'A'.repeat(500_000)).attach('reference', good, 'r'),
      ]) {
        await refused(test, 413, 'IMAGE_TOO_LARGE', limit);
      }
      const largest = Buffer.alloc(MAX_IMAGE_BYTES, 7);
      service.model.addImage(largest, { faces: [] });
      await post('detect').attach('image', largest, 'l').expect(200);
      await post('detect')
        .send({ image: largest.toString('base64') })
        .expect(200);
    });

    it.each([
      ['junk', 'not base64!'],
      ['junk of the right length', 'AAAA!AAA'],
      ['missing padding', 'QUI'],
      ['padding in the middle', 'QQ==QUJD'],
      ['padding alone', '===='],
      ['a lone character', '='],
      ['characters beyond ASCII', 'ÄÖÜß'],
      ['a data URI that is not base64', 'data:image/svg+xml,<svg/>'],
      ['a data URI with junk', 'data:image/png;base64,????'],
      ['a path', '/etc/passwd.jpg'],
      ['an address of another scheme', 'file:///etc/passwd'],
      ['a number', 42],
      ['an object', { address: 'https://example.com' }],
      ['true', true],
    ])('%s in place of base64', async (_name, image) => {
      await refused(post('detect').send({ image }), 400, 'PARAMETER_INVALID', {
        field: 'image',
        fields: { image: expect.stringMatching(/^must /) },
      });
    });

    it('a bad item of a list, by its index', async () => {
      await refused(post('represent').send({ image: [goodBase64, '!'] }), 400, 'PARAMETER_INVALID', {
        field: 'image',
        index: 1,
        fields: { 'image[1]': expect.any(String) },
      });
    });

    it('a list where one image is taken', async () => {
      await refused(post('detect').send({ image: [goodBase64] }), 400, 'PARAMETER_INVALID', {
        field: 'image',
      });
      await refused(
        post('detect').attach('image', good, 'a').attach('image', good, 'b'),
        413,
        'REQUEST_TOO_LARGE',
        {
          field: 'image',
          maxImages: 1,
        },
      );
      const twice = post('verify')
        .attach('probe', good, 'a')
        .field('probe', goodBase64)
        .field('reference', goodBase64);
      await refused(twice, 413, 'REQUEST_TOO_LARGE', { field: 'probe', maxImages: 1 });
    });

    it('more images than the limit', async () => {
      const limit = { field: 'image', maxImages: 3 };
      const four = [1, 2, 3, 4];
      await refused(
        post('represent').send({ image: four.map(() => goodBase64) }),
        413,
        'REQUEST_TOO_LARGE',
        limit,
      );
      const files = post('represent');
      for (const index of four) void files.attach('image', good, `client-name-${index}`);
      await refused(files, 413, 'REQUEST_TOO_LARGE', limit);
      const texts = post('represent');
      for (const _ of four) void texts.field('image', goodBase64);
      await refused(texts, 413, 'REQUEST_TOO_LARGE', limit);
    });
  });

  describe('embeddings', () => {
    const verify = (probe: unknown) => post('verify').send({ probe, reference: goodBase64 });
    const contract = 'fake00000000';
    const ones = Array.from({ length: 512 }, () => 1);

    it('of a wrong length', async () => {
      await refused(verify({ embedding: [1, 2, 3], contract }), 422, 'EMBEDDING_INVALID', {
        field: 'probe',
        expectedLength: 512,
        receivedLength: 3,
      });
    });

    it('of another contract', async () => {
      await refused(verify({ embedding: ones, contract: 'other' }), 409, 'EMBEDDING_CONTRACT_MISMATCH', {
        field: 'probe',
      });
    });

    it.each([
      ['NaN, which JSON turns into null', [...ones.slice(1), NaN]],
      ['a text', [...ones.slice(1), '1']],
      ['zeros', ones.map(() => 0)],
    ])('of %s', async (_name, embedding) => {
      await refused(verify({ embedding, contract }), 422, 'EMBEDDING_INVALID', { field: 'probe' });
    });

    it('beyond the range of numbers', async () => {
      const body = `{"probe":{"embedding":[${ones.slice(1).join()},1e999],"contract":"${contract}"},"reference":"${goodBase64}"}`;
      await refused(post('verify').type('json').send(body), 422, 'EMBEDDING_INVALID', { field: 'probe' });
    });

    it.each([
      ['no contract', { embedding: ones }],
      ['no list', { embedding: 'AAAA', contract }],
      ['an unknown key', { embedding: ones, contract, name: 'alice' }],
      ['a negative norm', { embedding: ones, contract, embeddingNorm: -1 }],
      ['nothing', {}],
    ])('with %s', async (_name, probe) => {
      const where = { field: 'probe', fields: { probe: expect.any(String) } };
      await refused(verify(probe), 400, 'PARAMETER_INVALID', where);
      await refused(
        post('verify').field('probe', JSON.stringify(probe)).field('reference', goodBase64),
        400,
        'PARAMETER_INVALID',
        where,
      );
    });

    it('as malformed JSON in a text part', async () => {
      await refused(
        post('verify').field('probe', '{"embedding":[').field('reference', goodBase64),
        400,
        'PARAMETER_INVALID',
        {
          field: 'probe',
        },
      );
    });

    it('where only images are taken', async () => {
      await refused(
        post('represent').send({ image: { embedding: ones, contract } }),
        400,
        'PARAMETER_INVALID',
        {
          field: 'image',
        },
      );
    });
  });

  describe('parameters', () => {
    it.each([
      ['threshold', 'abc'],
      ['threshold', ''],
      ['threshold', '-0.1'],
      ['threshold', 'Infinity'],
      ['threshold', 'NaN'],
      ['threshold', '0x1'],
      ['threshold', ' 1'],
      ['targetFmr', '0.51'],
      ['targetFmr', '0'],
      ['targetFmr', 'rarely'],
      ['targetFpir', '0.01'],
      ['reviewMargin', '-0.1'],
      ['minDetectionScore', '1.01'],
      ['metric', 'manhattan'],
      ['metric', ''],
      ['faceSelection', 'biggest'],
      ['detector', ''],
      ['embedder', 'x'.repeat(101)],
      ['maxFaces', '3'],
      ['color', 'red'],
    ])('verify with %s=%j', async (name, value) => {
      const fields = { [name]: expect.any(String) };
      const json = post('verify').send({ probe: goodBase64, reference: goodBase64, [name]: value });
      await refused(json, 400, 'PARAMETER_INVALID', { fields });
      const form = post('verify')
        .attach('probe', good, 'p')
        .attach('reference', good, 'r')
        .field(name, value);
      await refused(form, 400, 'PARAMETER_INVALID', { fields });
    });

    it.each([
      ['threshold', null],
      ['threshold', [1]],
      ['threshold', true],
      ['targetFmr', null],
      ['reviewMargin', [0.1]],
      ['detector', null],
      ['detector', ['fake-detector']],
      ['faceSelection', null],
      ['minDetectionScore', {}],
    ])('verify with %s of a wrong type: %j', async (name, value) => {
      await refused(
        post('verify').send({ probe: goodBase64, reference: goodBase64, [name]: value }),
        400,
        'PARAMETER_INVALID',
        { fields: { [name]: expect.any(String) } },
      );
    });

    it.each(oneImage)('%s with several wrong parameters at once', async (route) => {
      const wrong = { maxFaces: 1.5, minFaceSize: -1, faceSelection: 'none', size: 3 };
      const { body } = await refused(
        post(route).send({ image: goodBase64, ...wrong }),
        400,
        'PARAMETER_INVALID',
      );
      expect(Object.keys(body.error.details.fields).sort()).toEqual(Object.keys(wrong).sort());
    });

    it('lists no more than twenty of them', async () => {
      const wrong = Object.fromEntries(
        Array.from({ length: 1000 }, (_, i) => [`key${i}`.padEnd(500, 'x'), 1]),
      );
      const response = await refused(
        post('detect').send({ image: goodBase64, ...wrong }),
        400,
        'PARAMETER_INVALID',
      );
      expect(response.text.length).toBeLessThan(10_000);
    });

    it.each(['constructor', '__proto__', 'toString'])('a parameter named %s does no harm', async (name) => {
      const { status } = await post('detect')
        .type('json')
        .send(`{"image":"${goodBase64}","${name}":{"maxFaces":"x"}}`);
      expect([200, 400]).toContain(status);
    });

    it('an option given twice', async () => {
      const form = post('detect').attach('image', good, 'i').field('detector', 'a').field('detector', 'b');
      await refused(form, 400, 'PARAMETER_INVALID', { fields: { detector: expect.any(String) } });
    });

    it('a threshold of 0 is fine', async () => {
      const { status, body } = await post('verify').send({
        probe: goodBase64,
        reference: goodBase64,
        threshold: 0,
      });
      expect([status, body.threshold, body.verified]).toEqual([200, 0, true]);
    });

    it.each(['verify', ...oneImage])('%s with an unknown detector', async (route) => {
      const images =
        route === 'verify' ? { probe: goodBase64, reference: goodBase64 } : { image: goodBase64 };
      await refused(post(route).send({ ...images, detector: 'mtcnn' }), 400, 'MODEL_UNKNOWN', {
        field: 'detector',
        available: ['fake-detector'],
      });
    });
  });

  describe('bodies', () => {
    it.each([
      ['text', 'text/plain', 'image'],
      ['a bare image', 'image/jpeg', 'image'],
      ['a web form', 'application/x-www-form-urlencoded', 'image=1'],
      ['JSON of another charset', 'application/json; charset=latin1', '{}'],
      ['another kind of multipart', 'multipart/mixed; boundary=x', '--x--'],
    ])('of a wrong content type: %s', async (_name, type, body) => {
      await refused(post('detect').set('content-type', type).send(body), 415, 'CONTENT_TYPE_UNSUPPORTED');
    });

    it('without a content type', async () => {
      await refused(post('detect'), 415, 'CONTENT_TYPE_UNSUPPORTED');
    });

    it.each([['{'], ['{"image":'], ['"text"'], ['[]'], ['[1]'], ['NaN'], ['{"image": "\n"}']])(
      'of malformed JSON: %j',
      async (body) => {
        await refused(post('detect').type('json').send(body), 400, 'REQUEST_MALFORMED');
      },
    );

    it.each([
      ['no boundary', 'multipart/form-data', 'x'],
      [
        'no end',
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="image"\r\n\r\nabc',
      ],
      ['no parts', 'multipart/form-data; boundary=x', 'nothing'],
      [
        'a part without a name',
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data\r\n\r\na\r\n--x--',
      ],
    ])('of malformed multipart: %s', async (_name, type, body) => {
      await refused(post('detect').set('content-type', type).send(body), 400, 'REQUEST_MALFORMED');
    });

    it('over the limit of JSON', async () => {
      await refused(post('detect').send({ image: 'A'.repeat(3_000_000) }), 413, 'REQUEST_TOO_LARGE');
    });

    it('with more parts than the route takes', async () => {
      const form = post('detect').attach('image', good, 'i');
      for (let i = 0; i < 30; i++) void form.field(`option${i}`, 'x');
      await refused(form, 413, 'REQUEST_TOO_LARGE');
    });

    it('with a file where none is taken, or a nested or endless name', async () => {
      const file = post('detect').attach('image', good, 'i').attach('photo', good, 'client-name.jpg');
      await refused(file, 400, 'PARAMETER_INVALID', { fields: { photo: expect.any(String) } });
      await refused(post('detect').field('image[0]', 'x'), 400, 'PARAMETER_INVALID');
      await refused(post('detect').field('x'.repeat(200), 'x'), 400, 'REQUEST_MALFORMED');
    });
  });

  it.each([
    ['/nowhere', 404, 'NOT_FOUND'],
    ['/v1', 404, 'NOT_FOUND'],
    ['/v1/verify/more', 404, 'NOT_FOUND'],
    ['/compare', 404, 'NOT_FOUND'],
    ['/%E0%A4%A', 404, 'NOT_FOUND'],
  ] as const)('POST %s', async (path, status, code) => {
    await refused(service.http.post(path).send({}), status, code);
  });

  it('a known path with another method', async () => {
    await refused(service.http.get('/v1/verify'), 404, 'NOT_FOUND');
  });
});
