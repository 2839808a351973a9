import { setImmediate } from 'node:timers/promises';
import { InProgress } from './in-progress';

describe(InProgress.name, () => {
  it('settles at once while there is no work', async () => {
    await new InProgress().ended();
  });

  it('settles for all that wait when the last work has ended, failed or not', async () => {
    const inProgress = new InProgress();
    const ends: string[] = [];
    let finish = () => {};
    const first = inProgress.run(() => new Promise<void>((resolve) => (finish = resolve)));
    const second = inProgress.run(() => Promise.reject(new Error('no')));
    for (const name of ['a', 'b']) void inProgress.ended().then(() => ends.push(name));
    await expect(second).rejects.toThrow('no');
    await setImmediate();
    expect([ends, inProgress.isEmpty]).toEqual([[], false]);
    finish();
    await first;
    await setImmediate();
    expect([ends, inProgress.isEmpty]).toEqual([['a', 'b'], true]);
    await inProgress.ended();
  });

  it('counts work again after it was empty', async () => {
    const inProgress = new InProgress();
    expect(await inProgress.run(() => Promise.resolve(1))).toBe(1);
    let finish = () => {};
    const next = inProgress.run(() => new Promise<void>((resolve) => (finish = resolve)));
    let hasEnded = false;
    void inProgress.ended().then(() => (hasEnded = true));
    await setImmediate();
    expect(hasEnded).toBe(false);
    finish();
    await next;
    await setImmediate();
    expect(hasEnded).toBe(true);
  });
});
