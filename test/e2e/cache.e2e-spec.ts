import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

interface Answer {
  faces: object[];
  timings: object;
  distance: number;
  verified: boolean;
  error: { code: string };
}
interface AdminAnswer {
  models: { name: string; runs: number }[];
  cache: { bytes: number; hits: number };
  purged: number;
}

const KEY = 'a-key-of-the-test-suite';
const sample = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));

describe('a service that keeps its answers', () => {
  let service: RunningService;
  beforeAll(async () => (service = await startService({ FACE_CACHE: 'memory', ADMIN_KEY: KEY })));
  afterAll(() => service?.stop());

  const post = async (path: string, files: Record<string, Buffer>, fields: Record<string, string> = {}) => {
    const form = new FormData();
    for (const [name, photo] of Object.entries(files))
      form.append(name, new Blob([new Uint8Array(photo)]), 'a.jpg');
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    const response = await fetch(service.url + path, { method: 'POST', body: form });
    const cache = /cache;desc="([^"]*)"/.exec(response.headers.get('server-timing') ?? '')?.[1];
    return { status: response.status, cache, body: (await response.json()) as Answer };
  };
  const admin = async (method: string, path: string) => {
    const response = await fetch(service.url + path, { method, headers: { authorization: `Bearer ${KEY}` } });
    return (await response.json()) as AdminAnswer;
  };
  const runs = async () => {
    const { models } = await admin('GET', '/admin/models');
    return models.find(({ name }) => name === 'mobilefacenet-512')?.runs;
  };

  it('answers the same image from the cache, and alike', async () => {
    const first = await post('/v1/represent', { image: sample(2) });
    const runsAfterFirst = await runs();
    const second = await post('/v1/represent', { image: sample(2) });
    expect([first.cache, second.cache]).toEqual(['miss', 'hit']);
    expect(second.body.faces).toEqual(first.body.faces);
    expect(second.body.timings).toMatchObject({ decodeMs: 0, embedMs: 0, cache: 'hit' });
    expect(await runs()).toBe(runsAfterFirst);
  });

  it('tells options, tasks and models apart', async () => {
    await post('/v1/represent', { image: sample(3) });
    expect((await post('/v1/represent', { image: sample(3) }, { maxFaces: '1' })).cache).toBe('miss');
    expect((await post('/v1/detect', { image: sample(3) })).cache).toBe('miss');
    expect((await post('/v1/represent', { image: sample(3) }, { maxFaces: '1' })).cache).toBe('hit');
  });

  it('works once on an image that is verified with itself', async () => {
    const { status, cache, body } = await post('/v1/verify', { probe: sample(4), reference: sample(4) });
    expect([status, body.distance, body.verified]).toEqual([200, 0, true]);
    expect(cache).toBe('shared, miss');
    const again = await post('/v1/verify', { probe: sample(4), reference: sample(1) });
    expect(again.cache).toBe('hit, miss');
  });

  it('keeps no error', async () => {
    const broken = sample(1).subarray(0, 60_000);
    for (let attempt = 0; attempt < 2; attempt++) {
      expect((await post('/v1/detect', { image: broken })).body.error.code).toBe('IMAGE_CORRUPT');
    }
    const { cache } = await admin('GET', '/admin/status');
    expect(cache.hits).toBeGreaterThan(0);
    expect(cache.bytes).toBeGreaterThan(0);
  });

  it('forgets an image, and all', async () => {
    await post('/v1/represent', { image: sample(5) });
    await post('/v1/represent', { image: sample(6) });
    const hash = createHash('sha256').update(sample(5)).digest('hex');
    expect(await admin('DELETE', `/admin/cache/${hash}`)).toMatchObject({ purged: 1 });
    expect((await post('/v1/represent', { image: sample(6) })).cache).toBe('hit');
    expect((await post('/v1/represent', { image: sample(5) })).cache).toBe('miss');
    const { purged } = await admin('DELETE', '/admin/cache');
    expect(purged).toBeGreaterThanOrEqual(2);
    expect((await admin('GET', '/admin/status')).cache).toMatchObject({ entries: 0, bytes: 0 });
    expect((await post('/v1/represent', { image: sample(6) })).cache).toBe('miss');
  });
});
