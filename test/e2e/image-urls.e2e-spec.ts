import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp, type TestApp } from '../support/create-app';

const image = Buffer.from('a good image');

describe('images by their address', () => {
  let photos: Server;
  let origin: string;
  let requests: string[];
  let service: TestApp;

  beforeAll(async () => {
    photos = createServer((request, response) => {
      requests.push(request.url ?? '');
      if (request.url === '/gone.jpg') response.writeHead(404);
      response.end(image);
    });
    await new Promise<void>((resolve) => photos.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(photos.address() as AddressInfo).port}`;
    origin = `http://${host}`;
    service = await createApp({ FACE_IMAGE_URL_HOSTS: host, FACE_MAX_IMAGES: '3' });
    service.model.addImage(image, { faces: [{ person: 'ada' }] });
  });
  beforeEach(() => {
    requests = [];
  });
  afterAll(async () => {
    await service.app.close();
    photos.closeAllConnections();
    photos.close();
  });

  it('are taken as text and as an object, in JSON and in multipart', async () => {
    const { body: detected } = await service.http
      .post('/v1/detect')
      .send({ image: `${origin}/1.jpg` })
      .expect(200);
    expect(detected.faces).toHaveLength(1);
    const { body: verified } = await service.http
      .post('/v1/verify')
      .send({ probe: { url: `${origin}/2.jpg` }, reference: image.toString('base64') })
      .expect(200);
    expect(verified).toMatchObject({ verified: true, distance: 0 });
    await service.http
      .post('/v1/verify')
      .field('probe', `${origin}/3.jpg`)
      .attach('reference', image, 'r')
      .expect(200);
    expect(requests).toEqual(['/1.jpg', '/2.jpg', '/3.jpg']);
  });

  it('are taken by the DeepFace API, after all that came with them is checked', async () => {
    const { body } = await service.http
      .post('/verify')
      .send({ img1: `${origin}/1.jpg`, img2_path: `${origin}/2.jpg` })
      .expect(200);
    expect(body).toMatchObject({ verified: true, distance: 0 });
    const list = { img: [`${origin}/3.jpg`, image.toString('base64')] };
    expect((await service.http.post('/represent').send(list).expect(200)).body.results).toHaveLength(2);
    const gone = await service.http.post('/represent').send({ img: `${origin}/gone.jpg` });
    expect([gone.status, gone.body]).toEqual([
      400,
      { error: 'Exception while representing: The image could not be fetched from the URL for img.' },
    ]);
    requests = [];
    await service.http
      .post('/verify')
      .send({ img1: `${origin}/1.jpg`, img2: 'a.jpg' })
      .expect(400);
    expect(requests).toEqual([]);
  });

  it('are taken in lists, in their order, and count as images', async () => {
    const list = [`${origin}/1.jpg`, image.toString('base64'), { url: `${origin}/2.jpg` }];
    const { body } = await service.http.post('/v1/represent').send({ image: list }).expect(200);
    expect(body.results).toHaveLength(3);
    expect([...requests].sort()).toEqual(['/1.jpg', '/2.jpg']);

    const { body: refusal } = await service.http
      .post('/v1/represent')
      .send({ image: [...list, { url: `${origin}/3.jpg` }] })
      .expect(413);
    expect(refusal.error.code).toBe('REQUEST_TOO_LARGE');
    expect(requests).toHaveLength(2);
  });

  it('fail alone in an enrollment of many', async () => {
    const { body } = await service.http
      .post('/v1/galleries/default/enroll')
      .send({
        items: [
          { subjectId: 'ada', image: `${origin}/1.jpg` },
          { subjectId: 'eve', image: `${origin}/gone.jpg` },
          { subjectId: 'bob', image: 'http://169.254.169.254/' },
        ],
      })
      .expect(201);
    expect(body.results.map((result: { error?: { code: string } }) => result.error?.code)).toEqual([
      undefined,
      'IMAGE_URL_FAILED',
      'IMAGE_URL_REFUSED',
    ]);
  });

  it('say in which field and which item they failed, and are not fetched where another input is wrong', async () => {
    const { body } = await service.http
      .post('/v1/represent')
      .send({ image: [image.toString('base64'), `${origin}/gone.jpg`] })
      .expect(422);
    expect(body.error).toEqual({
      code: 'IMAGE_URL_FAILED',
      message: 'The image could not be fetched from the URL for image[1].',
      details: { field: 'image', index: 1, status: 404 },
    });
    requests = [];
    await service.http
      .post('/v1/verify')
      .send({ probe: `${origin}/1.jpg`, reference: 'not base64!' })
      .expect(400);
    expect(requests).toEqual([]);
  });

  it.each([
    ['no address', 'http://'],
    ['no text', { url: 7 }],
  ])('are refused where they are %s', async (_, value) => {
    const { body } = await service.http.post('/v1/detect').send({ image: value }).expect(400);
    expect(body.error).toMatchObject({ code: 'PARAMETER_INVALID', details: { field: 'image' } });
  });

  it('are refused where the operator allows none', async () => {
    const closed = await createApp({});
    const { body } = await closed.http
      .post('/v1/detect')
      .send({ image: `${origin}/1.jpg` })
      .expect(400);
    expect(body.error).toMatchObject({ code: 'IMAGE_URL_REFUSED', details: { field: 'image' } });
    expect(requests).toEqual([]);
    await closed.app.close();
  });
});
