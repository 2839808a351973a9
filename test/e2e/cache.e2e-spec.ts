import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLikenessClient, type LikenessClient, type RepresentOptions } from '../../src/client';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

const KEY = 'a-key-of-the-test-suite';
const sample = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));

describe('a service that keeps its answers', () => {
  let service: RunningService;
  let likeness: LikenessClient;
  beforeAll(async () => {
    service = await startService({ FACE_CACHE: 'memory', ADMIN_KEY: KEY });
    likeness = createLikenessClient({ baseUrl: service.url, apiKey: KEY });
  });
  afterAll(() => service?.stop());

  const represent = async (photo: Buffer, options: RepresentOptions = {}) =>
    (await likeness.represent(photo, options)).timings.cache;
  const runs = async () => {
    const { data } = await likeness.GET('/admin/models');
    return data.models.find(({ name }) => name === 'mobilefacenet-512')?.runs;
  };
  const cache = async () => (await likeness.GET('/admin/status')).data.cache;

  it('answers the same image from the cache, and alike', async () => {
    const first = await likeness.represent(sample(2));
    const runsAfterFirst = await runs();
    const second = await likeness.represent(sample(2));
    expect([first.timings.cache, second.timings.cache]).toEqual(['miss', 'hit']);
    expect(second.faces).toEqual(first.faces);
    expect(second.timings).toMatchObject({ decodeMs: 0, embedMs: 0 });
    expect(await runs()).toBe(runsAfterFirst);
  });

  it('tells options, tasks and models apart', async () => {
    await represent(sample(3));
    expect(await represent(sample(3), { maxFaces: 1 })).toBe('miss');
    expect((await likeness.detect(sample(3))).timings.cache).toBe('miss');
    expect(await represent(sample(3), { maxFaces: 1 })).toBe('hit');
  });

  it('works once on an image that is verified with itself', async () => {
    const { distance, verified, timings } = await likeness.verify(sample(4), sample(4));
    expect([distance, verified]).toEqual([0, true]);
    // Which of the two came first is not said.
    expect([timings.probe?.cache, timings.reference?.cache].sort()).toEqual(['miss', 'shared']);
    const body = { probe: sample(4).toString('base64'), reference: sample(1).toString('base64') };
    const { response } = await likeness.POST('/v1/verify', { body });
    expect(response.headers.get('server-timing')).toContain('cache;desc="hit, miss"');
  });

  it('keeps no error', async () => {
    const broken = sample(1).subarray(0, 60_000);
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(likeness.detect(broken)).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
    }
    const kept = await cache();
    expect(kept?.hits).toBeGreaterThan(0);
    expect(kept?.bytes).toBeGreaterThan(0);
  });

  it('forgets an image, and all', async () => {
    await represent(sample(5));
    await represent(sample(6));
    const imageSha256 = createHash('sha256').update(sample(5)).digest('hex');
    const purged = await likeness.DELETE('/admin/cache/{imageSha256}', { params: { path: { imageSha256 } } });
    expect(purged.data).toMatchObject({ purged: 1 });
    expect(await represent(sample(6))).toBe('hit');
    expect(await represent(sample(5))).toBe('miss');
    const { data } = await likeness.DELETE('/admin/cache');
    expect(data.purged).toBeGreaterThanOrEqual(2);
    expect(await cache()).toMatchObject({ entries: 0, bytes: 0 });
    expect(await represent(sample(6))).toBe('miss');
  });
});
