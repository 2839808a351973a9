import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { FaceError } from '../../src/errors';
import { FACE_MODULE_OPTIONS } from '../../src/face/face.module-definition';
import type { FaceModuleOptions } from '../../src/face/face.options';
import { METRICS } from '../../src/server/metrics/metrics';
import { createApp, type TestApp } from '../support/create-app';
import { type ParsedMetrics, parseMetrics, type Sample, valueOf } from '../support/parse-metrics';

const HTTP = 'likeness_http_request_duration_seconds';
const alice = Buffer.from('a photo of alice');

async function scrape({ http }: TestApp): Promise<ParsedMetrics> {
  return parseMetrics((await http.get('/metrics').expect(200)).text);
}

describe('GET /metrics', () => {
  let service: TestApp;

  beforeEach(async () => {
    service = await createApp({ FACE_MAX_JSON_BYTES: '2000' });
    service.model.addImage(alice, { faces: [{ person: 'alice' }] });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await service.app.close();
  });

  const requests = async (route: string) =>
    ((await scrape(service)).get(HTTP)?.samples ?? [])
      .filter(({ name, labels }) => name === `${HTTP}_count` && labels.route === route)
      .map(({ labels: { method, status }, value }) => [method, Number(status), value]);

  it('answers in the text format of Prometheus, with every metric of the table', async () => {
    const { headers, text } = await service.http.get('/metrics').expect(200);
    const [type, ...parameters] = headers['content-type'].split('; ');
    expect([type, ...parameters.sort()]).toEqual(['text/plain', 'charset=utf-8', 'version=0.0.4']);
    expect([...parseMetrics(text).keys()]).toEqual(expect.arrayContaining(Object.keys(METRICS)));
  });

  it('times requests by the pattern of their route, errors too', async () => {
    await service.http.get('/health/live').expect(200);
    await service.http.get('/health/live?probe=1').expect(200);
    await service.http.post('/v1/detect').attach('image', alice, 'alice.jpg').expect(200);
    await service.http.post('/v1/detect').send({}).expect(400);
    await service.http.post('/v1/detect').type('json').send('{').expect(400);
    await service.http
      .post('/v1/detect')
      .send({ image: 'x'.repeat(3000) })
      .expect(413);
    jest.spyOn(service.model, 'detect').mockRejectedValue(new FaceError('QUEUE_FULL', 'The queue is full.'));
    await service.http.post('/v1/detect').attach('image', alice, 'alice.jpg').expect(503);
    expect(await requests('/health/live')).toEqual([['GET', 200, 2]]);
    expect((await requests('/v1/detect')).sort()).toEqual([
      ['POST', 200, 1],
      ['POST', 400, 2],
      ['POST', 413, 1],
      ['POST', 503, 1],
    ]);
  });

  it('times what is refused before a route is reached under one label', async () => {
    await service.http.get('/nowhere').expect(404);
    await service.http.get('/v1/models/../../etc/passwd').expect(404);
    await service.http.post(`/${'x'.repeat(500)}?secret=1`).expect(404);
    // No body is read where there is no route.
    await service.http.post('/nowhere').type('json').send('{').expect(404);
    expect((await requests('unmatched')).sort()).toEqual([
      ['GET', 404, 2],
      ['POST', 404, 2],
    ]);
    const samples: Sample[] = (await scrape(service)).get(HTTP)?.samples ?? [];
    expect([...new Set(samples.map(({ labels }) => labels.route))].sort()).toEqual(['/metrics', 'unmatched']);
  });

  it('times a request whose client left, during the upload and before the answer, with status 499', async () => {
    const started = new Promise<void>((resolve) => {
      jest.spyOn(service.model, 'detect').mockImplementation((_image, { signal } = {}) => {
        resolve();
        return new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new FaceError('REQUEST_ABORTED', 'Gone.')));
        });
      });
    });
    const { port } = service.app.getHttpServer().address() as AddressInfo;
    const post = (type: string, body: string, length: number) => {
      const client = connect(port, '127.0.0.1');
      const headers = ['host: localhost', `content-type: ${type}`, `content-length: ${length}`];
      client.write(`POST /v1/detect HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`);
      return client;
    };
    const body = JSON.stringify({ image: alice.toString('base64') });
    const waiting = post('application/json', body, body.length);
    await started;
    waiting.destroy();
    for (const type of ['application/json', 'multipart/form-data; boundary=x']) {
      const arrived = once(service.app.getHttpServer(), 'request');
      const uploading = post(type, '--x\r\n', 100);
      await arrived;
      uploading.destroy();
    }
    const expected = [['POST', 499, 3]];
    // The server hears of it when it hears of it.
    const seen = () => requests('/v1/detect');
    for (let tries = 0; tries < 100 && !isDeepStrictEqual(await seen(), expected); tries++) await sleep(20);
    expect(await seen()).toEqual(expected);
  });

  it('does not take an answer that ends its connection for a client that left', async () => {
    await service.http.get('/health/live').set('connection', 'close').expect(200);
    const form = service.http.post('/v1/detect').set('connection', 'close');
    await form.attach('image', alice, 'a').field('nothing', 'x').expect(400);
    expect(await requests('/health/live')).toEqual([['GET', 200, 1]]);
    expect(await requests('/v1/detect')).toEqual([['POST', 400, 1]]);
  });

  it('counts the images that the model of the application tells of', async () => {
    const { onImage } = service.app.get<FaceModuleOptions>(FACE_MODULE_OPTIONS, { strict: false });
    onImage?.({
      task: 'detect',
      detector: 'fake-detector',
      embedder: null,
      outcome: 'QUEUE_FULL',
      totalMs: 1,
      timings: null,
      faceCount: 0,
    });
    const scraped = await scrape(service);
    expect(valueOf(scraped, 'likeness_images_total', { task: 'detect', outcome: 'QUEUE_FULL' })).toBe(1);
    expect(valueOf(scraped, 'likeness_rejections_total', { reason: 'QUEUE_FULL' })).toBe(1);
  });

  it('knows nothing of another application in the same process', async () => {
    const other = await createApp();
    await other.http.get('/health/live').expect(200);
    const seen = async (app: TestApp) =>
      valueOf(await scrape(app), `${HTTP}_count`, { method: 'GET', route: '/health/live', status: '200' });
    expect([await seen(other), await seen(service)]).toEqual([1, undefined]);
    await other.app.close();
    expect((await scrape(service)).has('likeness_ready')).toBe(true);
  });
});
