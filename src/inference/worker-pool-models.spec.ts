import { codeOf, FakeWorker, fakeJob, turn } from '../../test/support/fake-worker';
import { FaceError } from '../errors';
import { WorkerPool, type WorkerPoolOptions } from './worker-pool';
import type { WorkerPlan } from './worker-set';

/** A plan whose workers are kept for the test to look at. */
class KeptPlan implements WorkerPlan {
  readonly workers: FakeWorker[] = [];
  readonly models: ReadonlySet<string>;

  constructor(
    names: string[],
    private readonly make: (index: number, names: string[]) => FakeWorker = (_, models) =>
      new FakeWorker(undefined, models),
  ) {
    this.models = new Set(names);
    this.createWorker = () => {
      const worker = this.make(this.workers.length, names);
      this.workers.push(worker);
      return worker;
    };
  }

  readonly createWorker: () => FakeWorker;
}

describe(`${WorkerPool.name} that changes its models`, () => {
  let pool: WorkerPool;
  let old: KeptPlan;
  const takeOver = jest.fn();

  async function start(options: Partial<WorkerPoolOptions> = {}): Promise<void> {
    takeOver.mockReset();
    old = new KeptPlan(['a', 'b']);
    pool = await WorkerPool.start(
      { workerCount: 2, queueSize: 20, queueBytes: 1000, requestTimeoutMs: 60_000, ...options },
      old,
    );
  }
  afterEach(() => pool.close(0));
  const settled = async (promise: Promise<unknown>) => {
    let isSettled = false;
    void promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await turn();
    return isSettled;
  };

  it('serves with the old workers until all new ones are ready', async () => {
    await start();
    let letSecondBeReady: () => void = () => undefined;
    const second = new Promise<void>((resolve) => (letSecondBeReady = resolve));
    const next = new KeptPlan(['a', 'c'], (index, names) =>
      index === 1 ? new FakeWorker(second, names) : new FakeWorker(undefined, names),
    );
    const switched = pool.switchTo(next, takeOver);
    await turn();
    expect(next.workers).toHaveLength(2);
    expect(takeOver).not.toHaveBeenCalled();
    const early = pool.run(fakeJob('early', ['a']));
    expect(old.workers.some((worker) => worker.isBusy)).toBe(true);
    letSecondBeReady();
    await turn();
    expect(takeOver).toHaveBeenCalledTimes(1);
    const late = pool.run(fakeJob('late', ['a']));
    expect(next.workers.some((worker) => worker.isBusy)).toBe(true);
    expect(await settled(switched)).toBe(false);
    old.workers.find((worker) => worker.isBusy)?.answer();
    await early;
    await switched;
    expect(old.workers.map(({ stopped }) => stopped)).toEqual([true, true]);
    next.workers.find((worker) => worker.isBusy)?.answer();
    await late;
  });

  it('lets the old workers finish what waited for a model that goes, and no more', async () => {
    await start();
    const names = ['1', '2', '3', '4', '5'];
    const onlyOld = names.map((name) => pool.run(fakeJob(name, ['a', 'b'])));
    const forBoth = names.map((name) => pool.run(fakeJob(`${name} of both`, ['a'])));
    const next = new KeptPlan(['a']);
    const switched = pool.switchTo(next, takeOver);
    await turn();
    expect(next.workers.map(({ isBusy }) => isBusy)).toEqual([true, true]);
    for (let round = 0; round < 5; round++) {
      [...old.workers, ...next.workers].filter(({ isBusy }) => isBusy).forEach((worker) => worker.answer());
      await turn();
    }
    await Promise.all([...onlyOld, ...forBoth, switched]);
    expect(old.workers.flatMap(({ jobs }) => jobs.map(({ detector }) => detector)).sort()).toEqual(names);
    expect(old.workers.every(({ stopped }) => stopped)).toBe(true);
    expect(pool.status().workers.map(({ state }) => state)).toEqual(['idle', 'idle']);
  });

  it('keeps the old workers where a new one fails, and ends the new ones', async () => {
    await start();
    const reason = new FaceError('MODEL_INVALID', 'no');
    const next = new KeptPlan(['a'], (index, names) =>
      index === 1 ? new FakeWorker(reason) : new FakeWorker(undefined, names),
    );
    await expect(pool.switchTo(next, takeOver)).rejects.toBe(reason);
    expect(takeOver).not.toHaveBeenCalled();
    expect(next.workers[0].stopped).toBe(true);
    const answer = pool.run(fakeJob('x', ['b']));
    old.workers.find(({ isBusy }) => isBusy)?.answer();
    expect(await codeOf(answer)).toBe('answered');
    expect(pool.status().workers).toHaveLength(2);
    expect(pool.loadCount('b')).toBe(2);
  });

  it('gives work of an old worker that dies to the next one that can do it', async () => {
    await start();
    const both = pool.run(fakeJob('both', ['a']));
    const onlyOld = pool.run(fakeJob('only old', ['b']));
    const next = new KeptPlan(['a']);
    const switched = pool.switchTo(next, takeOver);
    await turn();
    const [bothAt, onlyOldAt] = ['both', 'only old'].map(
      (name) => old.workers.find(({ jobs }) => jobs[0].detector === name) as FakeWorker,
    );
    bothAt.end();
    await turn();
    const rescuer = next.workers.find(({ isBusy }) => isBusy) as FakeWorker;
    expect(rescuer.jobs[0].detector).toBe('both');
    rescuer.answer();
    expect(await codeOf(both)).toBe('answered');
    onlyOldAt.end();
    expect(await codeOf(onlyOld)).toBe('MODEL_NOT_LOADED');
    await switched;
    expect(pool.status().restarts).toBe(0);
  });

  it('refuses what waits for a model that went with the last worker that held it', async () => {
    await start({ workerCount: 1 });
    const running = pool.run(fakeJob('running', ['b']));
    const waiting = pool.run(fakeJob('waiting', ['b']));
    const codes = Promise.all([codeOf(running), codeOf(waiting)]);
    const switched = pool.switchTo(new KeptPlan(['a']), takeOver);
    await turn();
    old.workers[0].end();
    await switched;
    expect(await codes).toEqual(['MODEL_NOT_LOADED', 'MODEL_NOT_LOADED']);
    expect(pool.status().queue.length).toBe(0);
  });

  it('closes in the middle of a change', async () => {
    await start();
    const next = new KeptPlan(['a'], (_, names) => new FakeWorker(new Promise(() => undefined), names));
    const switched = codeOf(pool.switchTo(next, takeOver));
    await turn();
    await pool.close(0);
    expect(await switched).toBe('NOT_READY');
    expect(next.workers[0].stopped).toBe(true);
    expect([...old.workers].every(({ stopped }) => stopped)).toBe(true);
    expect(takeOver).not.toHaveBeenCalled();
  });

  it('warms a model in every worker that is ready', async () => {
    await start();
    await pool.warm('b');
    expect(old.workers.map(({ warmed }) => warmed)).toEqual([['b'], ['b']]);
  });

  it('counts loads, runs and the time of a run', async () => {
    await start({ workerCount: 1 });
    expect([pool.loadCount('a'), pool.loadedIn('a').length, pool.loadCount('c')]).toEqual([1, 1, 0]);
    expect(pool.runsOf('a')).toEqual({ runs: 0, runMs: null });
    for (const ms of [10, 20]) {
      const answer = pool.run(fakeJob('x', ['a']));
      old.workers[0].answer([{ model: 'a', count: 2, ms: 2 * ms }]);
      await answer;
    }
    expect(pool.runsOf('a')).toEqual({ runs: 4, runMs: { p50: 20, p99: 20 } });
    await pool.switchTo(new KeptPlan(['c']), takeOver);
    expect([pool.loadCount('a'), pool.loadedIn('a').length, pool.loadCount('c')]).toEqual([1, 0, 1]);
  });
});
