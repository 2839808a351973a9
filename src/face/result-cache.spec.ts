import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { collectGarbage } from '../../test/support/collect-garbage';
import { seededRandom } from '../../test/support/seeded-random';
import { FaceError, type FaceErrorCode } from '../errors';
import type { RunOptions } from '../inference/worker-pool';
import type { FaceJob } from '../pipeline/face-job';
import type {
  AnalyzedFace,
  ImageFaces,
  Landmarks,
  RepresentedFace,
  StageTimings,
} from '../pipeline/face.types';
import { type Answer, ResultCache, type ResultCacheOptions } from './result-cache';

const NO_TIME = {
  queueMs: 0,
  decodeMs: 0,
  detectMs: 0,
  alignMs: 0,
  embedMs: 0,
  attributesMs: 0,
  presentationAttackMs: 0,
};
const TIMINGS: StageTimings = { ...NO_TIME, queueMs: 1, decodeMs: 2, detectMs: 3, alignMs: 4, embedMs: 5 };
const TTL_MS = 1000;
const REQUEST_TIMEOUT_MS = 500;

const sha256 = (image: Uint8Array | string) => createHash('sha256').update(image).digest('hex');
const faceError = (code: FaceErrorCode) => new FaceError(code, code);

function job(image: string, rest: Partial<FaceJob> = {}): FaceJob {
  return {
    task: 'represent',
    image: Buffer.from(image),
    models: ['detector@d1', 'embedder@e1'],
    detector: 'detector',
    embedder: 'embedder',
    selection: 'all',
    maxFaces: 10,
    minFaceSize: 0,
    minDetectionScore: undefined,
    ...rest,
  };
}

/** A face whose every number is that of `value`. */
function face(value: number, dimensions = 4): RepresentedFace {
  const point = () => ({ x: value, y: value });
  return {
    box: { x: value, y: value, width: value, height: value },
    landmarks: [point(), point(), point(), point(), point()],
    detectionScore: value,
    alignmentScore: value,
    embedding: new Float32Array(dimensions).fill(value),
    embeddingNorm: value,
  };
}

function answer(...faces: RepresentedFace[]): ImageFaces<RepresentedFace> {
  return {
    imageWidth: 640,
    imageHeight: 480,
    rotation: 90,
    detectionScale: 0.5,
    unalignedCount: 1,
    faceCount: faces.length,
    faces,
    timings: { ...TIMINGS },
    imageHash: 'f'.repeat(64),
  };
}

/** Work whose end the test decides; may be begun several times. */
class FakeWork {
  readonly begun: (RunOptions & { resolve: (answer: Answer) => void; reject: (error: Error) => void })[] = [];

  readonly do = (options: RunOptions): Promise<Answer> =>
    new Promise((resolve, reject) => this.begun.push({ ...options, resolve, reject }));
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error as FaceError).code,
  );
const never = () => Promise.reject(new Error('This work must not begin.'));
/** Lets everything happen that waits for no timer. */
const turn = () => jest.advanceTimersByTimeAsync(0);

describe(ResultCache.name, () => {
  // lru-cache takes an entry made at 0 ms for one that has no age; the clock of a process has left that behind.
  beforeEach(async () => {
    jest.useFakeTimers();
    await jest.advanceTimersByTimeAsync(1);
  });
  afterEach(() => jest.useRealTimers());

  const create = (options: Partial<ResultCacheOptions> = {}) =>
    new ResultCache({
      maxBytes: 1_000_000,
      ttlMs: TTL_MS,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      maxWaitingBytes: 1_000_000,
      ...options,
    });
  /** Answers at once, with one face of that value. */
  const put = (cache: ResultCache, job: FaceJob, value = 1, dimensions = 4) =>
    cache.run(job, {}, async () => answer(face(value, dimensions)));
  /** Where an answer comes from; work that it needs is done at once. */
  const source = async (cache: ResultCache, job: FaceJob) => (await put(cache, job)).timings.cache;

  describe('answers', () => {
    it('are worked on once, then kept', async () => {
      const cache = create();
      const work = new FakeWork();
      const first = cache.run(job('a'), {}, work.do);
      work.begun[0].resolve(answer(face(1), face(2)));
      expect(await first).toEqual({
        ...answer(face(1), face(2)),
        timings: { ...TIMINGS, cache: 'miss' },
      });
      expect(await cache.run(job('a'), {}, never)).toEqual({
        ...answer(face(1), face(2)),
        timings: { ...NO_TIME, cache: 'hit' },
      });
      expect(work.begun).toHaveLength(1);
    });

    it('are kept where there is no face', async () => {
      const cache = create();
      await cache.run(job('a'), {}, async () => answer());
      expect((await cache.run(job('a'), {}, never)).faces).toEqual([]);
    });

    it('keep what analysis finds', async () => {
      const { embedding: _, embeddingNorm: __, ...detection } = face(1);
      const analyzed: AnalyzedFace = {
        ...detection,
        age: 31.5,
        gender: 'female',
        genderScores: { male: 0.25, female: 0.75 },
        expression: 'happy',
        expressionScores: {
          neutral: 0.1,
          happy: 0.9,
          sad: 0,
          angry: 0,
          fearful: 0,
          disgusted: 0,
          surprised: 0,
        },
      };
      const cache = create();
      const given = { ...answer(), faces: [analyzed] };
      await cache.run(job('a', { task: 'analyze' }), {}, async () => given);
      expect((await cache.run(job('a', { task: 'analyze' }), {}, never)).faces).toEqual([analyzed]);
    });

    it('hold nothing but what an answer is made of', async () => {
      const cache = create();
      const work = async () => ({ ...answer(face(1)), runs: [{ model: 'detector', count: 1, ms: 1 }] });
      expect(await cache.run(job('a'), {}, work)).not.toHaveProperty('runs');
      expect(await cache.run(job('a'), {}, never)).not.toHaveProperty('runs');
    });

    it('hold nothing of the image', async () => {
      jest.useRealTimers();
      const cache = create();
      const ask = async () => {
        const jobs = ['a', 'a', 'a', 'b'].map((image) => job(image, { image: Buffer.alloc(100, image) }));
        const client = new AbortController();
        await Promise.all([
          cache.run(jobs[0], {}, async () => answer(face(jobs[0].maxFaces))),
          cache.run(jobs[1], {}, async () => answer(face(jobs[1].maxFaces))),
          code(cache.run(jobs[2], { signal: client.signal }, async () => answer(face(jobs[2].maxFaces)))),
          code(cache.run(jobs[3], {}, () => Promise.reject(faceError('IMAGE_CORRUPT')))),
          client.abort(),
        ]);
        return jobs.map(({ image }) => new WeakRef(image));
      };
      const images = await ask();
      await collectGarbage();
      expect(images.map((image) => image.deref())).toEqual(Array(4).fill(undefined));
      expect(cache.stats().entries).toBe(1);
    });

    // An embedding may start at any byte of what is kept: what lies on a multiple of four is read in place.
    it.each([1, 2, 3, 4, 5])('belong to their caller, %d faces', async (faces) => {
      const cache = create();
      const work = new FakeWork();
      const given = answer(...Array.from({ length: faces }, () => face(1)));
      given.imageWidth = 10 ** faces;
      const expected = structuredClone(given);
      const waiting = [1, 2].map(() => cache.run(job('a'), {}, work.do));
      work.begun[0].resolve(given);
      const spoil = (answer: Answer) => {
        for (const face of answer.faces as RepresentedFace[]) {
          face.embedding.fill(99);
          face.box.x = 99;
          (face.landmarks as Landmarks)[0].x = 99;
          face.detectionScore = 99;
        }
        answer.faces.push(face(99));
        answer.imageWidth = 99;
        answer.timings.decodeMs = 99;
      };
      const answers = await Promise.all(waiting);
      spoil(given);
      for (let i = 0; i < 3; i++) answers.push(await cache.run(job('a'), {}, never));
      while (answers.length > 0) {
        const { timings: _, ...rest } = expected;
        for (const answer of answers) expect(answer).toMatchObject(rest);
        spoil(answers.shift() as Answer);
      }
      const last = await cache.run(job('a'), {}, never);
      expect(last).toEqual({ ...expected, timings: { ...NO_TIME, cache: 'hit' } });
    });
  });

  describe('key', () => {
    it('is the content of the image, wherever it lies', async () => {
      const cache = create();
      await put(cache, job('image'));
      const image = Buffer.from('an image of it').subarray(3, 8);
      expect(await source(cache, job('', { image }))).toBe('hit');
      expect(await source(cache, job('', { image: new Uint8Array(image) }))).toBe('hit');
      expect(await source(cache, job('imagE'))).toBe('miss');
    });

    it.each<Partial<FaceJob>>([
      { task: 'detect' },
      { models: ['detector@d2', 'embedder@e1'] },
      { models: ['detector@d1'] },
      { detector: 'other' },
      { embedder: 'other' },
      { selection: 'best' },
      { maxFaces: 9 },
      { minFaceSize: 1 },
      { minDetectionScore: 0 },
      { minDetectionScore: NaN },
      { quality: true },
      { hash: true },
      { wholeImage: 'ifNoFace' },
      { wholeImage: 'always' },
      { align: false },
      { attributes: { age: 'a' } },
      { attributes: { gender: 'a' } },
    ])('has %p', async (rest) => {
      const cache = create();
      await put(cache, job('a'));
      expect(await source(cache, job('a', rest))).toBe('miss');
      expect(await source(cache, job('a', rest))).toBe('hit');
      expect(await source(cache, job('a'))).toBe('hit');
    });

    it('tells numbers apart that JSON does not', async () => {
      const cache = create();
      await put(cache, job('a', { minDetectionScore: NaN }));
      expect(await source(cache, job('a', { minDetectionScore: Infinity }))).toBe('miss');
    });

    it('is not joined under way by another', async () => {
      const cache = create();
      const work = new FakeWork();
      void cache.run(job('a'), {}, work.do);
      void cache.run(job('a', { maxFaces: 9 }), {}, work.do);
      void cache.run(job('b'), {}, work.do);
      expect(work.begun).toHaveLength(3);
    });
  });

  describe('bounds', () => {
    it('counts embeddings at four bytes a value, and every face', async () => {
      const bytes = async (...faces: RepresentedFace[]) => {
        const cache = create();
        await cache.run(job('a'), {}, async () => answer(...faces));
        return cache.stats().bytes;
      };
      const one = await bytes(face(0.1, 128));
      expect((await bytes(face(0.1, 512))) - one).toBeGreaterThanOrEqual(4 * 384);
      expect((await bytes(face(0.1, 512))) - one).toBeLessThan(4 * 384 + 8);
      // Box, landmarks, score, norm: 16 numbers of 8 bytes, beside the embedding.
      expect((await bytes(face(0.1, 128), face(0.1, 128))) - one).toBeGreaterThanOrEqual(4 * 128 + 16 * 8);
    });

    it('counts the key', async () => {
      const cache = create();
      await put(cache, job('a'));
      const { bytes } = cache.stats();
      await put(cache, job('a', { detector: 'detector'.padEnd(1008) }));
      expect(cache.stats().bytes).toBe(2 * bytes + 1000);
    });

    it('does not count, nor keep, what lies around an embedding in its buffer', async () => {
      const cache = create();
      await put(cache, job('a'));
      const { bytes } = cache.stats();
      const around = new Float32Array(100_000).fill(1);
      await cache.run(job('b'), {}, async () => answer({ ...face(1), embedding: around.subarray(10, 14) }));
      expect(cache.stats().bytes).toBe(2 * bytes);
    });

    it('drops what was not asked for the longest', async () => {
      const cache = create();
      await put(cache, job('a'));
      const { bytes } = cache.stats();
      const small = create({ maxBytes: 2 * bytes });
      await put(small, job('a'));
      await put(small, job('b'));
      expect(small.stats()).toMatchObject({ entries: 2, bytes: 2 * bytes, maxBytes: 2 * bytes });
      expect(await source(small, job('a'))).toBe('hit');
      await put(small, job('c'));
      expect(small.stats()).toMatchObject({ entries: 2, bytes: 2 * bytes });
      expect(await source(small, job('a'))).toBe('hit');
      expect(await source(small, job('c'))).toBe('hit');
      expect(await source(small, job('b'))).toBe('miss');
    });

    it('hands out an answer that is larger than all of it, and keeps the others', async () => {
      const cache = create({ maxBytes: 4000 });
      await put(cache, job('a'));
      const before = cache.stats();
      const work = new FakeWork();
      const large = [1, 2].map(() => cache.run(job('b'), {}, work.do));
      work.begun[0].resolve(answer(face(1, 1000)));
      for (const { faces } of await Promise.all(large)) expect(faces).toEqual([face(1, 1000)]);
      expect(cache.stats()).toMatchObject({ entries: 1, bytes: before.bytes });
      expect(await source(cache, job('a'))).toBe('hit');
    });

    it('keeps answers for their time, asked for or not', async () => {
      const cache = create();
      await put(cache, job('a'));
      await put(cache, job('b'));
      await jest.advanceTimersByTimeAsync(TTL_MS - 1);
      expect(await source(cache, job('a'))).toBe('hit');
      await jest.advanceTimersByTimeAsync(3);
      expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
      expect(await source(cache, job('a'))).toBe('miss');
    });
  });

  describe('work under way', () => {
    it('is shared, and reports its wait to each caller', async () => {
      const cache = create();
      const work = new FakeWork();
      const first = cache.run(job('a'), {}, work.do);
      await jest.advanceTimersByTimeAsync(30);
      const second = cache.run(job('a'), {}, never);
      await jest.advanceTimersByTimeAsync(20);
      work.begun[0].resolve(answer(face(1)));
      expect((await first).timings).toEqual({ ...TIMINGS, cache: 'miss' });
      expect(await second).toEqual({
        ...answer(face(1)),
        timings: { ...NO_TIME, queueMs: 20, cache: 'shared' },
      });
      expect(cache.stats()).toMatchObject({ entries: 1, hits: 0, shared: 1, misses: 1 });
    });

    it('goes on the account of its first caller, without its deadline', async () => {
      const cache = create();
      const work = new FakeWork();
      void code(cache.run(job('a'), { caller: 'alice', timeoutMs: 10 }, work.do));
      expect(work.begun[0]).toMatchObject({ caller: 'alice', signal: expect.any(AbortSignal) });
      expect(work.begun[0].timeoutMs).toBeUndefined();
    });

    it('is not cut by a first caller with less time', async () => {
      const cache = create();
      const work = new FakeWork();
      const first = cache.run(job('a'), { timeoutMs: 10 }, work.do);
      const second = cache.run(job('a'), {}, never);
      const refused = expect(first).rejects.toMatchObject({
        code: 'INFERENCE_TIMEOUT',
        message: 'The image was not answered within 10 ms.',
      });
      await jest.advanceTimersByTimeAsync(10);
      await refused;
      expect(work.begun[0].signal?.aborted).toBe(false);
      work.begun[0].resolve(answer(face(1)));
      expect((await second).timings.cache).toBe('shared');
      expect(await source(cache, job('a'))).toBe('hit');
    });

    it('is not waited for past the deadline of each caller', async () => {
      const cache = create();
      const work = new FakeWork();
      const first = cache.run(job('a'), {}, work.do);
      await jest.advanceTimersByTimeAsync(100);
      const ends: string[] = [];
      const second = cache.run(job('a'), { timeoutMs: 10 }, never);
      const third = cache.run(job('a'), { timeoutMs: 10 * REQUEST_TIMEOUT_MS }, never);
      for (const [name, promise] of Object.entries({ first, second, third })) {
        void code(promise).then((end) => ends.push(`${name} ${end}`));
      }
      await jest.advanceTimersByTimeAsync(9);
      expect(ends).toEqual([]);
      await jest.advanceTimersByTimeAsync(1);
      expect(ends).toEqual(['second INFERENCE_TIMEOUT']);
      await jest.advanceTimersByTimeAsync(REQUEST_TIMEOUT_MS - 110);
      expect(ends.slice(1)).toEqual(['first INFERENCE_TIMEOUT']);
      expect(work.begun[0].signal?.aborted).toBe(false);
      await jest.advanceTimersByTimeAsync(100);
      expect(ends.slice(2)).toEqual(['third INFERENCE_TIMEOUT']);
      expect(work.begun[0].signal?.aborted).toBe(true);
    });

    it('does not begin for a caller that has left', async () => {
      const cache = create();
      expect(await code(cache.run(job('a'), { signal: AbortSignal.abort() }, never))).toBe('REQUEST_ABORTED');
      await put(cache, job('a'));
      expect(await code(cache.run(job('a'), { signal: AbortSignal.abort() }, never))).toBe('REQUEST_ABORTED');
    });

    it('is dropped when the last caller leaves, not before', async () => {
      const cache = create();
      const work = new FakeWork();
      const clients = [1, 2, 3].map(() => new AbortController());
      const ends = clients.map(({ signal }) => code(cache.run(job('a'), { signal }, work.do)));
      for (const client of clients) {
        expect(work.begun[0].signal?.aborted).toBe(false);
        client.abort();
      }
      expect(work.begun).toHaveLength(1);
      expect(work.begun[0].signal?.aborted).toBe(true);
      expect(await Promise.all(ends)).toEqual(Array(3).fill('REQUEST_ABORTED'));
    });

    it('once dropped is joined by nobody, and nothing that comes of it is kept', async () => {
      const cache = create();
      const [dropped, other] = [new FakeWork(), new FakeWork()];
      const client = new AbortController();
      void code(cache.run(job('a'), { signal: client.signal }, dropped.do));
      client.abort();
      const second = cache.run(job('a'), {}, other.do);
      expect(other.begun).toHaveLength(1);
      dropped.begun[0].resolve(answer(face(1)));
      await turn();
      expect(cache.stats().entries).toBe(0);
      // Still under way: the end of the dropped work did not take its place away.
      const third = cache.run(job('a'), {}, never);
      other.begun[0].resolve(answer(face(2)));
      expect((await second).faces).toEqual([face(2)]);
      expect((await third).faces).toEqual([face(2)]);
      expect((await cache.run(job('a'), {}, never)).faces).toEqual([face(2)]);
    });

    it('leaves no timer and no listener behind', async () => {
      const cache = create();
      const work = new FakeWork();
      const { signal } = new AbortController();
      const ends = [1, 2].map(() => code(cache.run(job('a'), { signal }, work.do)));
      const early = code(cache.run(job('a'), { signal, timeoutMs: 1 }, work.do));
      expect(getEventListeners(signal, 'abort')).toHaveLength(3);
      await jest.advanceTimersByTimeAsync(1);
      expect(await early).toBe('INFERENCE_TIMEOUT');
      work.begun[0].reject(faceError('IMAGE_CORRUPT'));
      expect(await Promise.all(ends)).toEqual(['IMAGE_CORRUPT', 'IMAGE_CORRUPT']);
      expect(getEventListeners(signal, 'abort')).toEqual([]);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('is waited for by so many bytes of images only', async () => {
      const cache = create({ maxWaitingBytes: 25 });
      const work = new FakeWork();
      const image = 'ten bytes!';
      const client = new AbortController();
      const ends = [
        cache.run(job(image), {}, work.do),
        cache.run(job(image), { signal: client.signal }, work.do),
        cache.run(job(image), {}, work.do),
      ].map(code);
      await expect(cache.run(job(image), {}, work.do)).rejects.toMatchObject({
        code: 'QUEUE_FULL',
        details: { retryAfterSeconds: 1 },
      });
      client.abort();
      ends.push(code(cache.run(job(image), {}, work.do)));
      expect(await code(cache.run(job(image), {}, work.do))).toBe('QUEUE_FULL');
      // Work of its own waits in the queue of the pool.
      ends.push(code(cache.run(job('other', {}), {}, work.do)));
      for (const { resolve } of work.begun) resolve(answer());
      expect(await Promise.all(ends)).toEqual([
        'answered',
        'REQUEST_ABORTED',
        'answered',
        'answered',
        'answered',
      ]);
      expect(cache.purge()).toBe(2);
      const after = [1, 2, 3, 4].map(() => code(cache.run(job(image), {}, async () => answer())));
      expect(await Promise.all(after)).toEqual(['answered', 'answered', 'answered', 'QUEUE_FULL']);
    });
  });

  describe('errors', () => {
    it('go to all that wait, and are not kept', async () => {
      const cache = create();
      const work = new FakeWork();
      const waiting = [1, 2, 3].map(() => code(cache.run(job('a'), {}, work.do)));
      work.begun[0].reject(faceError('IMAGE_CORRUPT'));
      expect(await Promise.all(waiting)).toEqual(Array(3).fill('IMAGE_CORRUPT'));
      expect(work.begun).toHaveLength(1);
      expect(cache.stats()).toMatchObject({ entries: 0, hits: 0, shared: 0, misses: 0 });
      expect(await source(cache, job('a'))).toBe('miss');
    });

    it('are those of the work, whatever they are', async () => {
      const cache = create();
      const thrown = new TypeError('unexpected');
      const work = () => {
        throw thrown;
      };
      await expect(cache.run(job('a'), {}, work)).rejects.toBe(thrown);
      expect(await source(cache, job('a'))).toBe('miss');
    });

    it.each<FaceErrorCode>(['QUEUE_FULL', 'INFERENCE_FAILED', 'IMAGE_QUARANTINED', 'NOT_READY'])(
      '%s is of all',
      async (errorCode) => {
        const cache = create();
        const work = new FakeWork();
        const first = code(cache.run(job('a'), {}, work.do));
        const second = code(cache.run(job('a'), {}, never));
        work.begun[0].reject(faceError(errorCode));
        expect([await first, await second]).toEqual([errorCode, errorCode]);
      },
    );

    describe.each<FaceErrorCode>([
      'CALLER_QUEUE_FULL',
      'CALLER_QUARANTINED',
      'REQUEST_ABORTED',
      'INFERENCE_TIMEOUT',
    ])('%s', (errorCode) => {
      it('is of the first caller: the next does its own work, for the rest', async () => {
        const cache = create();
        const [alices, bobs] = [new FakeWork(), new FakeWork()];
        const alice = code(cache.run(job('a'), { caller: 'alice' }, alices.do));
        await jest.advanceTimersByTimeAsync(10);
        const bob = cache.run(job('a'), { caller: 'bob' }, bobs.do);
        const carol = cache.run(job('a'), { caller: 'carol' }, never);
        await jest.advanceTimersByTimeAsync(20);
        alices.begun[0].reject(faceError(errorCode));
        expect(await alice).toBe(errorCode);
        expect(bobs.begun).toMatchObject([{ caller: 'bob' }]);
        const dave = cache.run(job('a'), { caller: 'dave' }, never);
        await jest.advanceTimersByTimeAsync(40);
        bobs.begun[0].resolve(answer(face(1)));
        expect((await bob).timings).toEqual({
          ...TIMINGS,
          queueMs: 20 + TIMINGS.queueMs,
          cache: 'miss',
        });
        expect((await carol).timings).toEqual({ ...NO_TIME, queueMs: 60, cache: 'shared' });
        expect((await dave).timings).toEqual({ ...NO_TIME, queueMs: 40, cache: 'shared' });
        expect(await source(cache, job('a'))).toBe('hit');
      });

      it('of a first caller that has left is of nobody', async () => {
        const cache = create();
        const [alices, bobs] = [new FakeWork(), new FakeWork()];
        const client = new AbortController();
        const alice = code(cache.run(job('a'), { signal: client.signal }, alices.do));
        const bob = code(cache.run(job('a'), {}, bobs.do));
        client.abort();
        expect(await alice).toBe('REQUEST_ABORTED');
        alices.begun[0].reject(faceError(errorCode));
        await turn();
        bobs.begun[0].resolve(answer());
        expect(await bob).toBe('answered');
      });

      it('of every caller in turn ends every wait', async () => {
        const cache = create();
        const works = [1, 2, 3].map(() => new FakeWork());
        const ends = works.map((work) => code(cache.run(job('a'), {}, work.do)));
        for (const work of works) {
          expect(work.begun).toHaveLength(1);
          work.begun[0].reject(faceError(errorCode));
          await turn();
        }
        expect(await Promise.all(ends)).toEqual(Array(3).fill(errorCode));
        expect(await source(cache, job('a'))).toBe('miss');
      });
    });

    it('keep the deadline of the callers that go on without the first', async () => {
      const cache = create();
      const [alices, bobs] = [new FakeWork(), new FakeWork()];
      void code(cache.run(job('a'), {}, alices.do));
      const bob = code(cache.run(job('a'), { timeoutMs: 100 }, bobs.do));
      await jest.advanceTimersByTimeAsync(60);
      alices.begun[0].reject(faceError('CALLER_QUEUE_FULL'));
      await jest.advanceTimersByTimeAsync(39);
      expect(bobs.begun[0].signal?.aborted).toBe(false);
      await jest.advanceTimersByTimeAsync(1);
      expect(await bob).toBe('INFERENCE_TIMEOUT');
      expect(bobs.begun[0].signal?.aborted).toBe(true);
    });
  });

  describe('purge', () => {
    it('forgets every answer about one image, and says how many', async () => {
      const cache = create();
      await put(cache, job('a'));
      await put(cache, job('a', { task: 'detect' }));
      await put(cache, job('b'));
      const { bytes } = cache.stats();
      expect(cache.purge(sha256('a').toUpperCase())).toBe(2);
      expect(cache.stats().entries).toBe(1);
      expect(cache.stats().bytes).toBeLessThan(bytes / 2);
      expect(cache.purge(sha256('a'))).toBe(0);
      expect(await source(cache, job('b'))).toBe('hit');
      expect(await source(cache, job('a'))).toBe('miss');
    });

    it('forgets everything', async () => {
      const cache = create();
      for (const image of ['a', 'b', 'c']) await put(cache, job(image));
      expect(cache.purge()).toBe(3);
      expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
      expect(jest.getTimerCount()).toBe(0);
      expect(cache.purge()).toBe(0);
      expect(await source(cache, job('a'))).toBe('miss');
    });

    it.each(['', sha256('a').slice(0, 63), `${sha256('a')}0`, sha256('b')])(
      'takes %p for no image that is there',
      async (imageSha256) => {
        const cache = create();
        await put(cache, job('a'));
        expect(cache.purge(imageSha256)).toBe(0);
        expect(cache.stats().entries).toBe(1);
      },
    );

    it.each([
      { what: 'everything', imageSha256: undefined },
      { what: 'the image', imageSha256: sha256('a').toUpperCase() },
    ])('of $what lets work under way be answered, not kept', async ({ imageSha256 }) => {
      const cache = create();
      const work = new FakeWork();
      const before = cache.run(job('a'), {}, work.do);
      expect(cache.purge(imageSha256)).toBe(0);
      const after = cache.run(job('a'), {}, never);
      work.begun[0].resolve(answer(face(1)));
      expect((await before).timings.cache).toBe('miss');
      expect((await after).timings.cache).toBe('shared');
      expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
      expect(await source(cache, job('a'))).toBe('miss');
      expect(await source(cache, job('a'))).toBe('hit');
    });

    it('counts for work that starts again for the remaining callers', async () => {
      const cache = create();
      const [alices, bobs] = [new FakeWork(), new FakeWork()];
      void code(cache.run(job('a'), {}, alices.do));
      const bob = code(cache.run(job('a'), {}, bobs.do));
      cache.purge(sha256('a'));
      alices.begun[0].reject(faceError('CALLER_QUEUE_FULL'));
      await turn();
      bobs.begun[0].resolve(answer(face(1)));
      expect(await bob).toBe('answered');
      expect(cache.stats().entries).toBe(0);
    });

    it('of another image lets the answer be kept', async () => {
      const cache = create();
      const work = new FakeWork();
      const waiting = cache.run(job('a'), {}, work.do);
      cache.purge(sha256('b'));
      work.begun[0].resolve(answer(face(1)));
      await waiting;
      expect(await source(cache, job('a'))).toBe('hit');
    });
  });

  it('counts the answers it gave, since the start', async () => {
    const cache = create();
    expect(cache.stats()).toEqual({
      entries: 0,
      bytes: 0,
      maxBytes: 1_000_000,
      hits: 0,
      shared: 0,
      misses: 0,
    });
    await Promise.all([put(cache, job('a')), put(cache, job('a')), put(cache, job('b'))]);
    for (let i = 0; i < 3; i++) await put(cache, job('a'));
    cache.purge();
    expect(cache.stats()).toMatchObject({ entries: 0, hits: 3, shared: 1, misses: 2 });
  });

  describe.each([1, 2, 3, 4, 5])('under %d', (seed) => {
    const IMAGES = 6;
    const STEPS = 400;
    const OWN = ['CALLER_QUEUE_FULL', 'REQUEST_ABORTED', 'INFERENCE_TIMEOUT'] as const;
    const OF_ALL = ['INFERENCE_FAILED', 'IMAGE_CORRUPT', 'QUEUE_FULL'] as const;

    it('random callers, clients that leave, purges and failures', async () => {
      const unhandled: unknown[] = [];
      const onUnhandled = (error: unknown) => unhandled.push(error);
      process.on('unhandledRejection', onUnhandled);
      const random = seededRandom(seed);
      const startedAt = Date.now();
      const now = () => Date.now() - startedAt;
      const below = (limit: number) => Math.floor(random() * limit);
      const pick = <T>(list: readonly T[]): T => list[below(list.length)];

      const cache = create({ maxBytes: 8000, ttlMs: 60, requestTimeoutMs: 40, maxWaitingBytes: 200 });
      const problems: string[] = [];
      const check = (holds: boolean, problem: string) => holds || problems.push(problem);
      /** Live work by key: begun, not settled, not dropped. */
      const live = new Map<string, number>();
      const purgedAt = new Map<number, number>();
      const ends: Record<string, number> = {};
      let calls = 0;
      let settled = 0;

      const call = async (caller: string) => {
        const image = below(IMAGES);
        const minFaceSize = below(2);
        const key = `${image}/${minFaceSize}`;
        /** No two answers have the same value: the time of the work, then image and option. */
        const valueOf = (begunAt: number) => begunAt * 100 + image * 10 + minFaceSize;
        const client = new AbortController();
        const timeoutMs = random() < 0.3 ? 1 + below(30) : undefined;
        const calledAt = now();
        const lastPurgeAt = purgedAt.get(image) ?? 0;
        let ownError: FaceError | undefined;

        const work = ({ signal, caller: account }: RunOptions) =>
          new Promise<Answer>((resolve, reject) => {
            check(account === caller, `${caller}: work on the account of ${account}`);
            check((live.get(key) ?? 0) === 0, `${caller}: ${key} is worked on twice`);
            live.set(key, 1);
            const begunAt = now();
            const isDeaf = random() < 0.3;
            let isLive = true;
            const end = () => {
              if (isLive) live.set(key, 0);
              isLive = false;
            };
            const finish = () => {
              end();
              const draw = random();
              if (draw < 0.2) reject((ownError = faceError(pick(OWN))));
              else if (draw < 0.35) reject(faceError(pick(OF_ALL)));
              else resolve(answer(...Array.from({ length: 1 + image }, () => face(valueOf(begunAt)))));
            };
            const timer = setTimeout(finish, below(20));
            signal?.addEventListener('abort', () => {
              end();
              if (isDeaf) return;
              clearTimeout(timer);
              reject(faceError('REQUEST_ABORTED'));
            });
          });

        calls++;
        const run = cache.run(
          job(`image ${image}`, { minFaceSize }),
          { signal: client.signal, timeoutMs, caller },
          work,
        );
        if (random() < 0.25) setTimeout(() => client.abort(), below(20));
        let end: string;
        try {
          const { faces, timings } = await run;
          end = timings.cache as string;
          const values = (faces as RepresentedFace[]).flatMap(({ embedding, box, detectionScore }) => [
            ...embedding,
            box.x,
            detectionScore,
          ]);
          const value = values[0];
          const begunAt = Math.floor(value / 100);
          check(new Set(values).size === 1 && faces.length === 1 + image, `${caller}: a spoilt answer`);
          check(value === valueOf(begunAt), `${caller}: the answer of another job`);
          if (end === 'hit') {
            // Work of the very millisecond of a purge may have begun before it or after it.
            check(begunAt >= lastPurgeAt, `${caller}: an answer that was purged`);
            check(now() - begunAt <= 60 + 20, `${caller}: an answer of ${now() - begunAt} ms ago`);
          }
          for (const { embedding, box } of faces as RepresentedFace[]) {
            embedding.fill(-1);
            box.x = -1;
          }
        } catch (error) {
          end = (error as FaceError).code;
          const isOwn = error === ownError;
          const waitedMs = now() - calledAt;
          if (end === 'CALLER_QUEUE_FULL') check(isOwn, `${caller}: the error of another`);
          if (end === 'REQUEST_ABORTED') check(isOwn || client.signal.aborted, `${caller}: has not left`);
          if (end === 'INFERENCE_TIMEOUT') {
            check(isOwn || waitedMs === (timeoutMs ?? 40), `${caller}: cut after ${waitedMs} ms`);
          }
        }
        check(now() - calledAt <= (timeoutMs ?? 40), `${caller}: waited past its deadline`);
        ends[end] = (ends[end] ?? 0) + 1;
        settled++;
      };

      for (let step = 0; step < STEPS; step++) {
        for (let i = below(4); i > 0; i--) void call(`caller ${calls}`);
        if (random() < 0.05) {
          const image = random() < 0.5 ? below(IMAGES) : undefined;
          for (let other = 0; other < IMAGES; other++) {
            if (image == null || image === other) purgedAt.set(other, now());
          }
          cache.purge(image == null ? undefined : sha256(`image ${image}`));
        }
        const { bytes, maxBytes, entries } = cache.stats();
        check(bytes <= maxBytes && bytes >= 700 * entries, `step ${step}: ${bytes} bytes in ${entries}`);
        await jest.advanceTimersByTimeAsync(below(3));
      }
      await jest.advanceTimersByTimeAsync(200);

      const { hits, shared, misses, entries, bytes } = cache.stats();
      expect(problems).toEqual([]);
      expect(settled).toBe(calls);
      expect({ hits, shared, misses }).toEqual({ hits: ends.hit, shared: ends.shared, misses: ends.miss });
      expect({ entries, bytes }).toEqual({ entries: 0, bytes: 0 });
      expect([...live.values()].every((count) => count === 0)).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
      // Every way to end was taken, or the run has shown nothing.
      const ways = ['hit', 'shared', 'miss', ...OWN, ...OF_ALL];
      expect(Object.keys(ends).sort()).toEqual(ways.sort());
      // All that waited has been taken off the count: as many may wait as at the start.
      const again = Array.from({ length: 27 }, () =>
        code(cache.run(job('8 bytes!'), {}, async () => answer())),
      );
      expect((await Promise.all(again)).filter((end) => end === 'answered')).toHaveLength(26);
      jest.useRealTimers();
      await new Promise((resolve) => setImmediate(resolve));
      process.off('unhandledRejection', onUnhandled);
      expect(unhandled).toEqual([]);
    });
  });
});
