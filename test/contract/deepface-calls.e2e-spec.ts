import { join } from 'node:path';
import { type RunningService, startService } from '../support/start-service';
import { DEEPFACE_CALLS, type DeepfaceCall, type SentAs } from './deepface-calls';
import { makePhotos, type Photos } from './photos';
import { ok, refused } from './shapes';
import { type Answer, dataUri, Wire } from './wire';

/** Photos as DeepFace's calls name them, where the service does not fetch them. */
const REFERENCES = {
  path: join('dataset', 'img1.jpg'),
  URL: 'https://raw.githubusercontent.com/serengil/deepface/master/tests/unit/dataset/img1.jpg',
};

/** With nothing configured: what a client of DeepFace gets that changes its base URL. */
describe('the calls of DeepFace', () => {
  let service: RunningService;
  let wire: Wire;
  let photos: Photos;

  beforeAll(async () => {
    service = await startService();
    wire = new Wire(service.url);
    photos = await makePhotos();
  });
  afterAll(() => service?.stop());

  const send = ({ route, carrier, images, fields = {} }: DeepfaceCall, sentAs: SentAs): Promise<Answer> => {
    const sent = Object.fromEntries(
      Object.entries(images).map(([field, name]) => {
        if (sentAs === 'path' || sentAs === 'URL') return [field, REFERENCES[sentAs]];
        const bytes = name === 'not an image' ? Buffer.from('Not JPEG data') : photos[name];
        return [field, sentAs === 'file' ? bytes : dataUri(bytes)];
      }),
    );
    if (carrier === 'JSON') return wire.json(route, { ...sent, ...fields });
    if (carrier === 'JSON without content type')
      return wire.raw(route, JSON.stringify({ ...sent, ...fields }));
    const texts = fields as Record<string, string>;
    if (carrier === 'multipart') return wire.multipart(route, { ...sent, ...texts });
    return wire.form(route, { ...(sent as Record<string, string>), ...texts });
  };

  // In the order of the table: a search follows the registration.
  describe.each(DEEPFACE_CALLS)('$source: $title', (call) => {
    const isReference = call.sentAs === 'path' || call.sentAs === 'URL';

    it(isReference ? 'is answered with the image in the request' : 'is answered as sent', async () => {
      call.check(await send(call, isReference ? 'data URI' : call.sentAs));
    });

    if (isReference && Object.keys(call.images).length > 0) {
      it(`is refused with a ${call.sentAs} of the image`, async () => {
        refused(await send(call, call.sentAs), 'either');
      });
    }
  });

  it('need no database', async () => {
    const img = dataUri(photos.stranger);
    expect(ok(await wire.json('/register', { img }))).toEqual({ inserted: 1 });
    expect(ok(await wire.json('/search', { img })).results).toEqual([
      [expect.objectContaining({ distance: 0 })],
    ]);
    expect((await wire.json('/build/index', {})).status).toBe(200);
  });

  it('measure by euclidean_l2 where the embedder has no threshold for euclidean', async () => {
    const [one, other] = [dataUri(photos.person), dataUri(photos.stranger)];
    const metric = { distance_metric: 'euclidean' };
    const answer = await wire.json('/verify', { img1: one, img2: other, ...metric });
    expect(ok(answer)).toMatchObject({ verified: false, similarity_metric: 'euclidean_l2' });
    expect(answer.headers.get('x-likeness-substitute')).toBe(
      'distance_metric;requested="euclidean";used="euclidean_l2"',
    );
    const own = await wire.json('/verify', { img1: one, img2: other, ...metric, threshold: 1 });
    expect(ok(own)).toMatchObject({ similarity_metric: 'euclidean', threshold: 1 });
    for (const similarity_search of [false, true]) {
      const { results } = ok(await wire.json('/search', { img: other, ...metric, similarity_search }));
      expect(results[0][0]).toMatchObject({ distance_metric: 'euclidean_l2', distance: 0 });
      expect(results[0][0].threshold).toBe(answer.body.threshold);
    }
  });
});
