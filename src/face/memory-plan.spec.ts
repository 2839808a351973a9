import { FaceError } from '../errors';
import { assertFits, planResources, estimateMemory, type WorkersToEstimate } from './memory-plan';

const MIB = 2 ** 20;
const weights = (bytes: number, isShared: boolean): WorkersToEstimate['models'] =>
  new Map([['model', { bytes, isShared }]]);
const auto = {
  workerCount: 'auto',
  intraOpThreads: 'auto',
  memoryBudgetBytes: 'auto',
  maxDecodeBytes: 'auto',
  cache: 'off',
  cacheBytes: 10 * MIB,
} as const;
const machine = (cores: number, memoryBytes: number) => ({ cores, memoryBytes });

describe(estimateMemory.name, () => {
  const of = (workerCount: number, models: WorkersToEstimate['models']) =>
    estimateMemory([{ workerCount, maxDecodeBytes: 100 * MIB, models }], 0);
  const none = new Map();

  it('counts mapped weights once, however many workers and sets map them', () => {
    const shared = weights(580 * MIB, true);
    expect(of(4, shared) - of(4, none)).toBe(580 * MIB);
    const set = { workerCount: 2, maxDecodeBytes: 100 * MIB, models: shared };
    expect(estimateMemory([set, set], 0) - of(4, none)).toBe(580 * MIB);
  });

  it('counts weights that are not mapped for every worker, more than once', () => {
    const own = weights(100 * MIB, false);
    const one = of(1, own) - of(1, none);
    expect(one).toBeGreaterThan(100 * MIB);
    expect(of(3, own) - of(3, none)).toBe(3 * one);
  });

  it('counts the cache where there is one', () => {
    const with10 = planResources({ ...auto, cache: 'memory' }, none, machine(1, 2 ** 40)).text;
    expect(with10).not.toBe(planResources(auto, none, machine(1, 2 ** 40)).text);
    expect(estimateMemory([], 10 * MIB) - estimateMemory([], 0)).toBeGreaterThanOrEqual(10 * MIB);
  });

  it('counts the worst image for every worker', () => {
    const of = (maxDecodeBytes: number) =>
      estimateMemory([{ workerCount: 3, maxDecodeBytes, models: none }], 0);
    expect(of(100 * MIB) - of(40 * MIB)).toBe(3 * 60 * MIB);
  });

  it('counts every worker', () => {
    expect(of(3, none) - of(2, none)).toBe(of(2, none) - of(1, none));
    expect(of(2, none)).toBeGreaterThan(of(1, none));
  });
});

describe(planResources.name, () => {
  const small = weights(50 * MIB, true);

  it('takes a worker per core with one thread each', () => {
    const plan = planResources(auto, small, machine(8, 16_384 * MIB));
    expect(plan).toMatchObject({ workerCount: 8, intraOpThreads: 1, budgetBytes: 16_384 * MIB });
    expect(plan.text).toMatch(
      /^8 workers with 1 thread each, on 8 cores; about \d+ MiB of a memory budget of 16384 MiB, with up to 256 MiB per worker to decode an image$/,
    );
  });

  it('takes fewer workers with more threads where the memory is small', () => {
    const large = weights(580 * MIB, false);
    const { workerCount, intraOpThreads, maxDecodeBytes, budgetBytes } = planResources(
      auto,
      large,
      machine(8, 4096 * MIB),
    );
    const estimate = (count: number) =>
      estimateMemory([{ workerCount: count, maxDecodeBytes, models: large }], 0);
    expect(workerCount).toBeGreaterThan(1);
    expect(workerCount).toBeLessThan(8);
    expect(intraOpThreads).toBe(Math.floor(8 / workerCount));
    expect(estimate(workerCount)).toBeLessThanOrEqual(budgetBytes);
    expect(estimate(workerCount + 1)).toBeGreaterThan(budgetBytes);
  });

  it('keeps one worker whatever the memory: the refusal is another step', () => {
    const plan = planResources(auto, weights(5000 * MIB, false), machine(2, 1024 * MIB));
    expect(plan).toMatchObject({ workerCount: 1, intraOpThreads: 2 });
    expect(plan.text).toContain('1 worker with 2 threads each, on 2 cores');
  });

  it('follows options that are not auto', () => {
    const explicit = {
      ...auto,
      workerCount: 3,
      intraOpThreads: 5,
      memoryBudgetBytes: 100 * MIB,
      maxDecodeBytes: 300 * MIB,
    };
    const { text: _text, ...plan } = planResources(explicit, small, machine(2, 8192 * MIB));
    expect(plan).toEqual({
      workerCount: 3,
      intraOpThreads: 5,
      maxDecodeBytes: 300 * MIB,
      budgetBytes: 100 * MIB,
    });
  });

  it('takes smaller images where a small machine has room for one worker alone, but no smaller than photos', () => {
    const planned = (mebibytes: number) => planResources(auto, small, machine(2, mebibytes * MIB));
    const { workerCount, maxDecodeBytes, budgetBytes } = planned(512);
    expect(workerCount).toBe(1);
    expect(estimateMemory([{ workerCount, maxDecodeBytes, models: small }], 0)).toBe(budgetBytes);
    expect(planned(700).maxDecodeBytes).toBe(256 * MIB);
    expect(planned(100).maxDecodeBytes).toBe(64 * MIB);
  });
});

describe(assertFits.name, () => {
  it('refuses what is over the budget by one byte, with both figures', () => {
    const sets = [{ workerCount: 2, maxDecodeBytes: MIB, models: weights(10 * MIB, true) }];
    const needed = estimateMemory(sets, MIB);
    expect(() => assertFits(sets, MIB, needed)).not.toThrow();
    let error: unknown;
    try {
      assertFits(sets, MIB, needed - 1);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(FaceError);
    expect(error).toMatchObject({
      code: 'MEMORY_BUDGET_EXCEEDED',
      details: { neededBytes: needed, budgetBytes: needed - 1 },
    });
  });
});
