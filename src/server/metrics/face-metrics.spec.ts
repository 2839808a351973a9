import { setTimeout as sleep } from 'node:timers/promises';
import { parseMetrics, valueOf } from '../../../test/support/parse-metrics';
import { FACE_ERRORS, FaceError, type FaceErrorCode } from '../../errors';
import type { EngineStatus, ModelStatus } from '../../face/face-model';
import type { ImageEvent } from '../../face/face.options';
import type { Gallery, Page, PageRequest } from '../../gallery/gallery.types';
import { FakeFaceModel } from '../../testing';
import { FaceMetrics } from './face-metrics';
import { type MetricEntry, METRICS, REJECTIONS } from './metrics';

const timings = {
  queueMs: 4,
  decodeMs: 6,
  detectMs: 40,
  alignMs: 1,
  embedMs: 30,
  attributesMs: 0,
  presentationAttackMs: 0,
};
const image: ImageEvent = {
  task: 'represent',
  detector: 'fake-detector',
  embedder: 'fake-embedder',
  outcome: 'ok',
  totalMs: 90,
  timings,
  faceCount: 2,
};
const engine: EngineStatus = {
  workers: [
    { pid: 11, state: 'busy', memory: { privateBytes: 1000, sharedBytes: 50 } },
    { pid: 12, state: 'busy', memory: null },
    { pid: null, state: 'starting', memory: null },
  ],
  workerRestarts: 3,
  queue: { length: 5, bytes: 500, maxLength: 10, maxBytes: 1000, running: 2 },
  cache: { entries: 7, bytes: 700, maxBytes: 1000, hits: 20, shared: 2, misses: 30 },
  memory: { reckonedBytes: 3000, budgetBytes: 8000 },
};

describe('FaceMetrics', () => {
  let metrics: FaceMetrics;
  let model: FakeFaceModel;
  const listGalleries = jest.fn<Promise<Page<Gallery>>, [PageRequest]>();

  beforeEach(() => {
    metrics = new FaceMetrics();
    model = new FakeFaceModel();
    listGalleries.mockReset().mockResolvedValue({ items: [], next: null });
  });
  afterEach(() => {
    jest.restoreAllMocks();
    metrics.onApplicationShutdown();
  });

  const store = { listGalleries, revision: null as number | null, staleSince: null as number | null };
  const scrape = async () => parseMetrics(await metrics.scrape(model, store));

  it('exports what the table has, each metric fed and with its labels, and nothing else of its own', async () => {
    jest.spyOn(model, 'status').mockResolvedValue(engine);
    metrics.observeImage(image);
    metrics.observeSearch({ searchMs: 2 });
    metrics.observeHttp({ method: 'GET', route: '/metrics', status: 200, key: null, durationMs: 3 });
    const scraped = await scrape();
    const own = [...scraped.keys()].filter((name) => name.startsWith('likeness_'));
    expect(own.sort()).toEqual(Object.keys(METRICS).sort());
    for (const [name, { type, help, labels }] of Object.entries<MetricEntry>(METRICS)) {
      const { samples, ...announced } = scraped.get(name) ?? { samples: [] };
      expect([name, announced]).toEqual([name, { type, help }]);
      expect([name, samples.length > 0]).toEqual([name, true]);
      for (const sample of samples) {
        const names = Object.keys(sample.labels).filter((label) => label !== 'le');
        expect([name, names.sort()]).toEqual([name, [...labels].sort()]);
      }
    }
  });

  it('exports what the process says of itself, the delay of the event loop not twice', async () => {
    const names = [...(await scrape()).keys()];
    expect(names).toEqual(
      expect.arrayContaining([
        'process_resident_memory_bytes',
        'process_cpu_seconds_total',
        'nodejs_gc_duration_seconds',
      ]),
    );
    expect(names.filter((name) => name.includes('eventloop'))).toEqual([]);
  });

  it('says what the engine and the models say, as they say it', async () => {
    const [detector, embedder] = model.models();
    const models: ModelStatus[] = [
      { ...detector, loads: 4, runs: 100, memoryBytes: 10, sharedBytes: 20 },
      { ...embedder, state: 'available', loads: 2, runs: 50, memoryBytes: null, sharedBytes: null },
    ];
    jest.spyOn(model, 'status').mockResolvedValue(engine);
    jest.spyOn(model, 'models').mockReturnValue(models);
    const scraped = await scrape();
    const expected: [string, Record<string, string>, number | undefined][] = [
      ['likeness_queue_length', {}, 5],
      ['likeness_queue_bytes', {}, 500],
      ['likeness_running', {}, 2],
      ['likeness_workers', { state: 'busy' }, 2],
      ['likeness_workers', { state: 'starting' }, 1],
      ['likeness_workers', { state: 'idle' }, 0],
      ['likeness_workers', { state: 'retiring' }, 0],
      ['likeness_worker_restarts_total', {}, 3],
      ['likeness_worker_memory_bytes', { worker: '11', kind: 'private' }, 1000],
      ['likeness_worker_memory_bytes', { worker: '11', kind: 'shared' }, 50],
      ['likeness_worker_memory_bytes', { worker: '12', kind: 'private' }, undefined],
      ['likeness_cache_requests_total', { outcome: 'hit' }, 20],
      ['likeness_cache_requests_total', { outcome: 'shared' }, 2],
      ['likeness_cache_requests_total', { outcome: 'miss' }, 30],
      ['likeness_cache_entries', {}, 7],
      ['likeness_cache_bytes', {}, 700],
      ['likeness_memory_reckoned_bytes', {}, 3000],
      ['likeness_memory_budget_bytes', {}, 8000],
      ['likeness_ready', {}, 1],
      ['likeness_model_loaded', { model: detector.name }, 1],
      ['likeness_model_loaded', { model: embedder.name }, 0],
      ['likeness_model_loads_total', { model: detector.name }, 4],
      ['likeness_model_loads_total', { model: embedder.name }, 2],
      ['likeness_model_runs_total', { model: detector.name }, 100],
      ['likeness_model_runs_total', { model: embedder.name }, 50],
      ['likeness_model_memory_bytes', { model: detector.name, kind: 'private' }, 10],
      ['likeness_model_memory_bytes', { model: detector.name, kind: 'shared' }, 20],
      ['likeness_model_memory_bytes', { model: embedder.name, kind: 'private' }, undefined],
    ];
    for (const [name, labels, value] of expected) {
      expect([name, labels, valueOf(scraped, name, labels)]).toEqual([name, labels, value]);
    }
  });

  it('replaces values on each scrape, and forgets a worker that ended', async () => {
    jest.spyOn(model, 'status').mockResolvedValue(engine);
    await scrape();
    const later = await scrape();
    expect(valueOf(later, 'likeness_worker_restarts_total')).toBe(3);
    expect(valueOf(later, 'likeness_queue_length')).toBe(5);
    expect(valueOf(later, 'likeness_cache_requests_total', { outcome: 'miss' })).toBe(30);
    const [, ...rest] = engine.workers;
    jest.spyOn(model, 'status').mockResolvedValue({ ...engine, workers: rest, workerRestarts: 4 });
    const last = await scrape();
    expect(valueOf(last, 'likeness_worker_restarts_total')).toBe(4);
    expect(last.get('likeness_worker_memory_bytes')?.samples).toEqual([]);
  });

  it('answers scrapes at the same time with the same counts', async () => {
    jest.spyOn(model, 'status').mockResolvedValue(engine);
    for (const scraped of await Promise.all([scrape(), scrape(), scrape()])) {
      expect(valueOf(scraped, 'likeness_worker_restarts_total')).toBe(3);
      expect(valueOf(scraped, 'likeness_workers', { state: 'busy' })).toBe(2);
    }
  });

  it('says that the model is not ready', async () => {
    await model.close();
    expect(valueOf(await scrape(), 'likeness_ready')).toBe(0);
  });

  it('adds up the galleries of all pages, and keeps the figures while the store fails', async () => {
    const page = (next: string | null, ...counts: [number, number][]) => ({
      items: counts.map(([subjectCount, referenceCount]) => ({ subjectCount, referenceCount }) as Gallery),
      next,
    });
    listGalleries.mockImplementation(({ after }) =>
      Promise.resolve(after == null ? page('more', [1, 10], [2, 20]) : page(null, [4, 40])),
    );
    const first = await scrape();
    expect(valueOf(first, 'likeness_gallery_subjects')).toBe(7);
    expect(valueOf(first, 'likeness_gallery_references')).toBe(70);
    listGalleries.mockRejectedValue(new FaceError('GALLERY_STORE_FAILED', 'failed'));
    expect(valueOf(await scrape(), 'likeness_gallery_references')).toBe(70);
  });

  it('times the searches of galleries as a stage', async () => {
    metrics.observeSearch({ searchMs: 250 });
    const name = 'likeness_stage_duration_seconds_sum';
    expect(valueOf(await scrape(), name, { stage: 'search' })).toBe(0.25);
  });

  it('says nothing of a cache that is not there', async () => {
    jest.spyOn(model, 'status').mockResolvedValue({ ...engine, cache: null });
    const scraped = await scrape();
    expect(valueOf(scraped, 'likeness_cache_entries')).toBe(0);
    expect(valueOf(scraped, 'likeness_cache_requests_total', { outcome: 'hit' })).toBe(0);
  });

  it('counts images, faces, and the time of each stage that ran', async () => {
    metrics.observeImage(image);
    metrics.observeImage({ ...image, timings: { ...timings, queueMs: 0, embedMs: 70 } });
    metrics.observeImage({ ...image, task: 'detect', outcome: 'IMAGE_CORRUPT', timings: null, faceCount: 0 });
    const scraped = await scrape();
    const images = (task: string, outcome: string) =>
      valueOf(scraped, 'likeness_images_total', { task, outcome });
    expect([images('represent', 'ok'), images('detect', 'IMAGE_CORRUPT')]).toEqual([2, 1]);
    expect(valueOf(scraped, 'likeness_faces_total', { task: 'represent' })).toBe(4);
    expect(valueOf(scraped, 'likeness_faces_total', { task: 'detect' })).toBe(0);
    const stage = (name: string) => [
      valueOf(scraped, 'likeness_stage_duration_seconds_count', { stage: name }),
      valueOf(scraped, 'likeness_stage_duration_seconds_sum', { stage: name }),
    ];
    expect(stage('embed')).toEqual([2, expect.closeTo(0.1)]);
    expect(stage('queue')).toEqual([2, expect.closeTo(0.004)]);
    expect(stage('attributes')).toEqual([undefined, undefined]);
    const buckets = (le: string) =>
      valueOf(scraped, 'likeness_stage_duration_seconds_bucket', { stage: 'embed', le });
    expect([buckets('0.025'), buckets('0.05'), buckets('0.1'), buckets('+Inf')]).toEqual([0, 1, 2, 2]);
  });

  it.each([
    ['hit', 0],
    ['shared', 0],
    ['miss', 1],
  ] as const)('takes a %s of the cache for %i runs through the stages', async (cache, runs) => {
    metrics.observeImage({ ...image, timings: { ...timings, cache } });
    const scraped = await scrape();
    expect(valueOf(scraped, 'likeness_images_total', { task: 'represent', outcome: 'ok' })).toBe(1);
    const detect = { stage: 'detect' };
    expect(valueOf(scraped, 'likeness_stage_duration_seconds_count', detect) ?? 0).toBe(runs);
  });

  it('counts as rejections what is no fault of the image, from zero on', async () => {
    expect([...REJECTIONS].sort()).toEqual([
      'AUTH_ATTEMPTS_EXCEEDED',
      'CALLER_QUARANTINED',
      'CALLER_QUEUE_FULL',
      'IMAGE_QUARANTINED',
      'INFERENCE_TIMEOUT',
      'MODEL_NOT_LOADED',
      'NOT_READY',
      'QUEUE_FULL',
      'RATE_LIMIT_EXCEEDED',
    ]);
    const rejections = async () => (await scrape()).get('likeness_rejections_total')?.samples ?? [];
    expect((await rejections()).map(({ value }) => value)).toEqual(REJECTIONS.map(() => 0));
    for (const outcome of Object.keys(FACE_ERRORS) as FaceErrorCode[]) {
      metrics.observeImage({ ...image, outcome, timings: null, faceCount: 0 });
    }
    metrics.observeImage(image);
    expect(
      Object.fromEntries((await rejections()).map(({ labels, value }) => [labels.reason, value])),
    ).toEqual(Object.fromEntries(REJECTIONS.map((code) => [code, 1])));
  });

  it('says how far and for how long a replica is behind the others', async () => {
    expect(valueOf(await scrape(), 'likeness_gallery_stale_seconds')).toBe(0);
    expect(valueOf(await scrape(), 'likeness_gallery_revision')).toBe(0);
    Object.assign(store, { revision: 1042, staleSince: Date.now() - 5000 });
    expect(valueOf(await scrape(), 'likeness_gallery_stale_seconds')).toBeGreaterThanOrEqual(5);
    expect(valueOf(await scrape(), 'likeness_gallery_revision')).toBe(1042);
    Object.assign(store, { staleSince: null });
    expect(valueOf(await scrape(), 'likeness_gallery_stale_seconds')).toBe(0);
  });

  it('measures the delay of the event loop since the last scrape', async () => {
    const worst = async () => valueOf(await scrape(), 'likeness_event_loop_delay_seconds', { quantile: '1' });
    // The monitor compares with its last look at the loop: it needs one.
    await sleep(50);
    await worst();
    await sleep(50);
    const end = performance.now() + 300;
    while (performance.now() < end);
    await sleep(50);
    const blocked = (await worst()) as number;
    expect(blocked).toBeGreaterThan(0.25);
    expect(await worst()).toBeLessThan(blocked);
  });

  it('keeps two applications of one process apart', async () => {
    const other = new FaceMetrics();
    other.observeImage(image);
    const outcome = { task: 'represent', outcome: 'ok' };
    const theirs = parseMetrics(await other.scrape(new FakeFaceModel(), store));
    other.onApplicationShutdown();
    expect(valueOf(theirs, 'likeness_images_total', outcome)).toBe(1);
    expect(valueOf(await scrape(), 'likeness_images_total', outcome)).toBeUndefined();
  });

  it('stops to watch the event loop with the application', () => {
    const { eventLoop } = metrics as unknown as { eventLoop: { disable(): boolean } };
    const disable = jest.spyOn(eventLoop, 'disable');
    metrics.onApplicationShutdown();
    expect(disable.mock.results).toEqual([{ type: 'return', value: true }]);
  });
});
