import {
  codeOf as code,
  FAKE_MODELS,
  FakeWorker,
  fakeJob as job,
  turn,
} from '../../test/support/fake-worker';
import { FaceError } from '../errors';
import { QUARANTINE_MS } from './quarantine';
import { WorkerPool, type WorkerPoolOptions } from './worker-pool';

describe(WorkerPool.name, () => {
  let workers: FakeWorker[];
  let pool: WorkerPool | undefined;
  let makeWorker: () => FakeWorker;
  beforeEach(() => (makeWorker = () => new FakeWorker()));

  function createWorker(): FakeWorker {
    const worker = makeWorker();
    workers.push(worker);
    return worker;
  }

  async function start(options: Partial<WorkerPoolOptions> = {}): Promise<WorkerPool> {
    workers = [];
    pool = await WorkerPool.start(
      {
        workerCount: 1,
        queueSize: 2,
        queueBytes: 100,
        requestTimeoutMs: 60_000,
        ...options,
      },
      { models: new Set(FAKE_MODELS), createWorker },
    );
    return pool;
  }
  afterEach(async () => {
    jest.useRealTimers();
    await pool?.close(0);
    pool = undefined;
  });

  it('runs one job at a time per worker, first come first served', async () => {
    const pool = await start({ workerCount: 2, queueSize: 9 });
    const answers = ['a', 'b', 'c', 'd'].map((name) => pool.run(job(name)));
    const started = () => workers.flatMap((worker) => worker.jobs.map(({ detector }) => detector));
    expect(started().sort()).toEqual(['a', 'b']);
    workers[0].answer();
    await turn();
    expect(started().sort()).toEqual(['a', 'b', 'c']);
    workers.forEach((worker) => worker.answer());
    await turn();
    workers.forEach((worker) => worker.answer());
    expect(await Promise.all(answers)).toHaveLength(4);
  });

  it('reports the wait in the queue', async () => {
    const pool = await start();
    const [first, second] = [pool.run(job('a')), pool.run(job('b'))];
    await new Promise((resolve) => setTimeout(resolve, 20));
    workers[0].answer();
    await turn();
    workers[0].answer();
    expect((await first).timings.queueMs).toBeLessThan((await second).timings.queueMs);
    expect((await second).timings.queueMs).toBeGreaterThan(10);
  });

  it('refuses with QUEUE_FULL what the queue does not hold, and starts nothing of it', async () => {
    const pool = await start();
    const waiting = ['a', 'b', 'c'].map((name) => code(pool.run(job(name))));
    expect(await code(pool.run(job('d')))).toBe('QUEUE_FULL');
    for (let i = 0; i < 3; i++) {
      workers[0].answer();
      await turn();
    }
    expect(await Promise.all(waiting)).toEqual(['answered', 'answered', 'answered']);
    expect(workers[0].jobs.map(({ detector }) => detector)).toEqual(['a', 'b', 'c']);
  });

  it('knows before an image has come that it would be refused', async () => {
    const pool = await start();
    expect(pool.refusal('a')).toBeNull();
    const running = pool.run(job('a'), { caller: 'a' });
    expect(pool.refusal('a')).toBeNull();
    const waiting = pool.run(job('b'), { caller: 'a' });
    expect([pool.refusal('a')?.code, pool.refusal('b')]).toEqual(['CALLER_QUEUE_FULL', null]);
    const other = pool.run(job('c'), { caller: 'b' });
    expect(pool.refusal('c')).toMatchObject({ code: 'QUEUE_FULL', details: { retryAfterSeconds: 1 } });
    for (const answer of [running, waiting, other]) {
      workers[0].answer();
      await answer;
    }
    expect(pool.refusal('a')).toBeNull();
    await pool.close(0);
    expect(pool.refusal('a')?.code).toBe('NOT_READY');
  });

  it('refuses at the deadline what waits, and replaces the worker that does not answer', async () => {
    jest.useFakeTimers();
    const pool = await start({ requestTimeoutMs: 1000 });
    const running = code(pool.run(job('a')));
    const waiting = code(pool.run(job('b')));
    await jest.advanceTimersByTimeAsync(1000);
    expect(await running).toBe('INFERENCE_TIMEOUT');
    expect(await waiting).toBe('INFERENCE_TIMEOUT');
    expect(workers[0].stopped).toBe(true);
    await jest.advanceTimersByTimeAsync(5000);
    expect(workers).toHaveLength(2);
    const answer = code(pool.run(job('c')));
    workers[1].answer();
    expect(await answer).toBe('answered');
  });

  it('refuses as QUEUE_FULL what has its turn too late, and goes on with what can be in time', async () => {
    jest.useFakeTimers();
    const pool = await start({ requestTimeoutMs: 60_000 });
    const first = code(pool.run(job('a')));
    await jest.advanceTimersByTimeAsync(1000);
    workers[0].answer();
    expect(await first).toBe('answered');
    const running = code(pool.run(job('b')));
    const late = code(pool.run(job('c'), { timeoutMs: 3500 }));
    const inTime = code(pool.run(job('d')));
    await jest.advanceTimersByTimeAsync(2000);
    workers[0].answer();
    expect(await running).toBe('answered');
    // Runs of 1 and 2 s, 1.5 s left.
    expect(await late).toBe('QUEUE_FULL');
    workers[0].answer();
    expect(await inTime).toBe('answered');
    expect(workers[0].jobs.map(({ detector }) => detector)).toEqual(['a', 'b', 'd']);
  });

  it('drops a waiting job whose caller left; a running one finishes unanswered', async () => {
    const pool = await start();
    const callers = [new AbortController(), new AbortController()];
    const running = code(pool.run(job('a'), callers[0]));
    const waiting = code(pool.run(job('b'), callers[1]));
    const last = code(pool.run(job('c')));
    callers.forEach((caller) => caller.abort());
    expect(await Promise.all([running, waiting])).toEqual(['REQUEST_ABORTED', 'REQUEST_ABORTED']);
    expect(workers[0].stopped).toBe(false);
    workers[0].answer();
    await turn();
    workers[0].answer();
    expect(await last).toBe('answered');
    expect(workers[0].jobs.map(({ detector }) => detector)).toEqual(['a', 'c']);
  });

  it('replaces a worker that hangs at a job whose caller left', async () => {
    jest.useFakeTimers();
    const pool = await start({ requestTimeoutMs: 1000 });
    const caller = new AbortController();
    const running = code(pool.run(job('a'), { signal: caller.signal }));
    caller.abort();
    expect(await running).toBe('REQUEST_ABORTED');
    await jest.advanceTimersByTimeAsync(5000);
    expect(workers[0].stopped).toBe(true);
    expect(workers).toHaveLength(2);
    const answer = code(pool.run(job('b')));
    workers[1].answer();
    expect(await answer).toBe('answered');
  });

  it('leaves a worker alone that finishes a job whose caller left', async () => {
    jest.useFakeTimers();
    const pool = await start({ requestTimeoutMs: 1000 });
    const caller = new AbortController();
    const running = code(pool.run(job('a'), { signal: caller.signal }));
    caller.abort();
    workers[0].answer();
    expect(await running).toBe('REQUEST_ABORTED');
    await jest.advanceTimersByTimeAsync(5000);
    expect(workers.map(({ stopped }) => stopped)).toEqual([false]);
  });

  it('is not ready while the only worker is still loading', async () => {
    jest.useFakeTimers();
    const pool = await start();
    makeWorker = () => new FakeWorker(new Promise(() => undefined));
    workers[0].end();
    await jest.advanceTimersByTimeAsync(1000);
    expect(workers).toHaveLength(2);
    expect(pool.readiness().ready).toBe(false);
  });

  it('starts nothing for a caller that has left already', async () => {
    const pool = await start();
    expect(await code(pool.run(job('a'), { signal: AbortSignal.abort() }))).toBe('REQUEST_ABORTED');
    expect(workers[0].jobs).toEqual([]);
  });

  it('replaces a worker that ends, counts the new load, and tries its job once more, before what waits', async () => {
    jest.useFakeTimers();
    const pool = await start();
    const running = code(pool.run(job('a')));
    const waiting = code(pool.run(job('b')));
    expect(pool.loadCount('model')).toBe(1);
    workers[0].end();
    await jest.advanceTimersByTimeAsync(0);
    expect(pool.readiness()).toEqual({
      ready: false,
      reason: expect.stringContaining('no inference worker'),
    });
    await jest.advanceTimersByTimeAsync(1000);
    expect(workers).toHaveLength(2);
    expect(pool.readiness()).toEqual({ ready: true });
    expect(workers[1].jobs.map(({ detector }) => detector)).toEqual(['a']);
    workers[1].answer();
    expect(await running).toBe('answered');
    workers[1].answer();
    expect(await waiting).toBe('answered');
    expect(pool.loadCount('model')).toBe(2);
  });

  it('tries at once on a worker that is free', async () => {
    const pool = await start({ workerCount: 2 });
    const running = code(pool.run(job('a')));
    const first = workers.findIndex((worker) => worker.jobs.length > 0);
    workers[first].end();
    await turn();
    expect(workers[1 - first].jobs.map(({ detector }) => detector)).toEqual(['a']);
    workers[1 - first].answer();
    expect(await running).toBe('answered');
  });

  it('refuses a job on which two workers ended, and its image for a while, but no other', async () => {
    jest.useFakeTimers();
    const pool = await start();
    const poison = code(pool.run(job('poison')));
    for (let i = 0; i < 2; i++) {
      workers[i].end();
      await jest.advanceTimersByTimeAsync(1000);
    }
    expect(await poison).toBe('INFERENCE_FAILED');
    expect(await code(pool.run(job('poison')))).toBe('IMAGE_QUARANTINED');
    expect(workers[2].jobs).toEqual([]);
    const other = code(pool.run(job('other')));
    workers[2].answer();
    expect(await other).toBe('answered');
    await jest.advanceTimersByTimeAsync(QUARANTINE_MS);
    const again = code(pool.run(job('poison')));
    workers[2].answer();
    expect(await again).toBe('answered');
  });

  describe('a caller whose images end or stall workers', () => {
    const run = (pool: WorkerPool, name: string, caller: string) => code(pool.run(job(name), { caller }));
    const busy = () => workers.filter((worker) => worker.isBusy && !worker.stopped);

    /** The worker that runs the job now, once there is one. */
    async function runningWorker(): Promise<FakeWorker> {
      for (let ms = 0; ms < 60_000 && busy().length === 0; ms += 100)
        await jest.advanceTimersByTimeAsync(100);
      return busy()[0];
    }

    /** Runs images that end every worker they are given to. */
    async function attack(pool: WorkerPool, caller: string, names: string[]): Promise<string[]> {
      const codes: string[] = [];
      for (const name of names) {
        const answer = run(pool, name, caller);
        let isOver = false;
        void answer.then(() => (isOver = true));
        for (let ms = 0; ms < 60_000 && !isOver; ms += 100) {
          busy()[0]?.end();
          await jest.advanceTimersByTimeAsync(100);
        }
        codes.push(await answer);
      }
      return codes;
    }

    it('is refused for a while, whatever bytes it sends, and no other is', async () => {
      jest.useFakeTimers();
      const pool = await start({ workerCount: 2 });
      // The third image is not tried on a second worker any more.
      expect(await attack(pool, 'eve', ['a', 'b', 'c'])).toEqual([
        'INFERENCE_FAILED',
        'INFERENCE_FAILED',
        'CALLER_QUARANTINED',
      ]);
      expect(pool.status().restarts).toBe(5);
      const refused = await pool.run(job('honest'), { caller: 'eve' }).catch((error: FaceError) => error);
      expect(refused).toMatchObject({
        code: 'CALLER_QUARANTINED',
        status: 429,
        details: { retryAfterSeconds: expect.any(Number) },
      });
      const other = run(pool, 'other', 'bob');
      (await runningWorker()).answer();
      expect(await other).toBe('answered');
      const { retryAfterSeconds } = (refused as FaceError).details as { retryAfterSeconds: number };
      await jest.advanceTimersByTimeAsync(retryAfterSeconds * 1000);
      const again = run(pool, 'honest', 'eve');
      (await runningWorker()).answer();
      expect(await again).toBe('answered');
    });

    it('is not blamed for an image that another caller sent before', async () => {
      jest.useFakeTimers();
      const pool = await start({ workerCount: 2 });
      await attack(pool, 'eve', ['a', 'b', 'c']);
      for (const name of ['a', 'b']) expect(await run(pool, name, 'bob')).toBe('IMAGE_QUARANTINED');
      const honest = run(pool, 'honest', 'bob');
      (await runningWorker()).answer();
      expect(await honest).toBe('answered');
    });

    it('is also recognized by stopped decoders', async () => {
      const pool = await start();
      const stalled = new FaceError('IMAGE_DECODE_TIMEOUT', 'late');
      for (const name of ['a', 'b', 'c']) {
        const answer = run(pool, name, 'eve');
        workers[0].fail(stalled);
        expect(await answer).toBe('IMAGE_DECODE_TIMEOUT');
      }
      expect(await run(pool, 'd', 'eve')).toBe('CALLER_QUARANTINED');
      expect(workers).toHaveLength(1);
    });

    it('loses its waiting jobs', async () => {
      const pool = await start({ queueSize: 99 });
      const answers = ['a', 'b', 'c', 'd', 'e'].map((name) => run(pool, name, 'eve'));
      for (let i = 0; i < 3; i++) {
        workers[0].fail(new FaceError('IMAGE_DECODE_TIMEOUT', 'late'));
        await turn();
      }
      expect((await Promise.all(answers)).slice(3)).toEqual(['CALLER_QUARANTINED', 'CALLER_QUARANTINED']);
      expect(workers[0].jobs).toHaveLength(3);
    });

    it('is never the unnamed caller', async () => {
      jest.useFakeTimers();
      const pool = await start({ workerCount: 2 });
      await attack(pool, '', ['a', 'b', 'c', 'd']);
      const answer = run(pool, 'honest', '');
      (await runningWorker()).answer();
      expect(await answer).toBe('answered');
    });
  });

  it('forgives an image that comes through at the second try', async () => {
    const pool = await start({ workerCount: 2 });
    for (let round = 0; round < 3; round++) {
      const answer = code(pool.run(job('unlucky')));
      const count = workers.length;
      workers.find((worker) => worker.jobs.length > 0 && !worker.stopped && worker.isBusy)?.end();
      await turn();
      workers.find((worker) => worker.isBusy)?.answer();
      expect(await answer).toBe('answered');
      while (workers.length === count) await new Promise((resolve) => setTimeout(resolve, 10));
      await turn();
    }
  });

  it('is not ready in a crash loop, and ready again after an answer, or when a worker stays', async () => {
    jest.useFakeTimers();
    const pool = await start();
    const crash = async () => {
      for (let death = 0; death < 5; death++) {
        const count = workers.length;
        workers[count - 1].end();
        while (workers.length === count) await jest.advanceTimersByTimeAsync(10);
      }
    };
    await crash();
    expect(pool.readiness()).toEqual({ ready: false, reason: expect.stringContaining('keep ending') });
    const answer = code(pool.run(job('a')));
    workers[workers.length - 1].answer();
    expect(await answer).toBe('answered');
    expect(pool.readiness()).toEqual({ ready: true });
    await crash();
    expect(pool.readiness().ready).toBe(false);
    await jest.advanceTimersByTimeAsync(1000);
    expect(pool.readiness()).toEqual({ ready: true });
  });

  it('serves callers in turn, and refuses one over its share with the time to wait', async () => {
    const pool = await start({ queueSize: 4 });
    const bulk = Array.from({ length: 4 }, (_, i) => pool.run(job(`bulk${i}`), { caller: 'bulk' }));
    const refused = await bulk[3].catch((error: FaceError) => error);
    expect(refused).toMatchObject({ code: 'CALLER_QUEUE_FULL', details: { retryAfterSeconds: 1 } });
    const other = code(pool.run(job('other'), { caller: 'other' }));
    for (let i = 0; i < 4; i++) {
      workers[0].answer();
      await turn();
    }
    expect(await other).toBe('answered');
    expect(workers[0].jobs.map(({ detector }) => detector)).toEqual(['bulk0', 'bulk1', 'other', 'bulk2']);
    await Promise.all(bulk.slice(0, 3));
  });

  it('refuses at once what would have its turn after its deadline', async () => {
    jest.useFakeTimers();
    const pool = await start({ queueSize: 100, queueBytes: 1000, requestTimeoutMs: 5000 });
    const first = pool.run(job('a'), { caller: 'bulk' });
    await jest.advanceTimersByTimeAsync(1000);
    workers[0].answer();
    await first;
    // A second for each: three fifths of the four seconds before the last run.
    const bulk = Array.from({ length: 4 }, () => pool.run(job('b'), { caller: 'bulk' }));
    for (const answer of bulk.slice(0, 3)) answer.catch(() => undefined);
    expect(await code(bulk[3])).toBe('QUEUE_FULL');
    expect(pool.status().queue.length).toBe(2);
    pool.run(job('c'), { caller: 'other' }).catch(() => undefined);
    expect(await code(pool.run(job('d'), { caller: 'bulk' }))).toBe('CALLER_QUEUE_FULL');
  });

  it('keeps a deadline that the caller set, without ending the worker for it', async () => {
    jest.useFakeTimers();
    const pool = await start();
    const running = code(pool.run(job('a'), { timeoutMs: 100 }));
    const waiting = code(pool.run(job('b'), { timeoutMs: 100 }));
    await jest.advanceTimersByTimeAsync(100);
    expect([await running, await waiting]).toEqual(['INFERENCE_TIMEOUT', 'INFERENCE_TIMEOUT']);
    expect(workers[0].stopped).toBe(false);
    workers[0].answer();
    await jest.advanceTimersByTimeAsync(0);
    const next = code(pool.run(job('c')));
    workers[0].answer();
    expect(await next).toBe('answered');
    expect(workers[0].jobs.map(({ detector }) => detector)).toEqual(['a', 'c']);
  });

  it('keeps trying, more and more seldom, while workers fail to start', async () => {
    jest.useFakeTimers();
    let failures = 0;
    const pool = await start();
    const created: number[] = [];
    makeWorker = () => {
      created.push(Date.now());
      return new FakeWorker(failures++ < 3 ? new Error('no') : undefined);
    };
    workers[0].end();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(pool.readiness()).toEqual({ ready: true });
    const pauses = created.slice(1).map((at, i) => at - created[i]);
    expect(pauses).toHaveLength(3);
    expect([...pauses].sort((a, b) => a - b)).toEqual(pauses);
    expect(pauses[2]).toBeGreaterThan(pauses[0]);
  });

  it('fails to start with the reason of a worker that cannot load, and ends the others', async () => {
    const reason = new FaceError('MODEL_CHECKSUM_MISMATCH', 'wrong');
    makeWorker = () => new FakeWorker(workers.length === 1 ? reason : undefined);
    const starting = start({ workerCount: 2 });
    await expect(starting).rejects.toBe(reason);
    expect(workers[0].stopped).toBe(true);
  });

  it('closes: refuses what waits and what comes, lets what runs finish, then ends the workers', async () => {
    const pool = await start();
    const running = code(pool.run(job('a')));
    const waiting = code(pool.run(job('b')));
    const closed = pool.close(60_000);
    expect(await waiting).toBe('NOT_READY');
    expect(await code(pool.run(job('c')))).toBe('NOT_READY');
    expect(pool.readiness().ready).toBe(false);
    expect(workers[0].stopped).toBe(false);
    workers[0].answer();
    expect(await running).toBe('answered');
    await closed;
    expect(workers[0].stopped).toBe(true);
  });

  it('closes for every caller once what runs is finished', async () => {
    const pool = await start();
    const running = code(pool.run(job('a')));
    const closed = [pool.close(60_000), pool.close(60_000)];
    workers[0].answer();
    await Promise.all(closed);
    expect(await running).toBe('answered');
    expect(workers[0].stopped).toBe(true);
  });

  it('does not wait for ever for what runs when it closes', async () => {
    jest.useFakeTimers();
    const pool = await start();
    const running = code(pool.run(job('a')));
    const closed = pool.close(500);
    await jest.advanceTimersByTimeAsync(500);
    await closed;
    expect(workers[0].stopped).toBe(true);
    expect(await running).toBe('INFERENCE_FAILED');
  });
});
