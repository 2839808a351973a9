import type { TensorSession } from '../pipeline/tensor-session';
import { RunCounter } from './run-counter';

const session = (run: TensorSession['run'] = async () => []): TensorSession => ({
  run,
  release: async () => undefined,
});
const ms = expect.any(Number) as number;

describe(RunCounter.name, () => {
  it('adds up runs and time by model until they are taken', async () => {
    const counter = new RunCounter();
    const [a, b] = ['a', 'b'].map((model) => counter.count(model, session()));
    await a.run(new Uint8Array(), []);
    await b.run(new Uint8Array(), []);
    await a.run(new Uint8Array(), []);
    expect(counter.take()).toEqual([
      { model: 'a', count: 2, ms },
      { model: 'b', count: 1, ms },
    ]);
    expect(counter.take()).toEqual([]);
  });

  it('hands input and outputs on, and measures the run', async () => {
    const outputs = [{ data: new Float32Array(1), dims: [1] }];
    const run = jest.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return outputs;
    });
    const counter = new RunCounter();
    const input = new Uint8Array(3);
    expect(await counter.count('a', session(run)).run(input, [1, 3])).toBe(outputs);
    expect(run).toHaveBeenCalledWith(input, [1, 3]);
    // Timers may fire a millisecond early.
    expect(counter.take()[0].ms).toBeGreaterThanOrEqual(19);
  });

  it('counts a run that fails, and lets it fail', async () => {
    const counter = new RunCounter();
    const failing = counter.count(
      'a',
      session(() => Promise.reject(new Error('broken'))),
    );
    await expect(failing.run(new Uint8Array(), [])).rejects.toThrow('broken');
    expect(counter.take()).toEqual([{ model: 'a', count: 1, ms }]);
  });

  it('releases the session', async () => {
    const release = jest.fn(async () => undefined);
    await new RunCounter().count('a', { ...session(), release }).release();
    expect(release).toHaveBeenCalledTimes(1);
  });
});
