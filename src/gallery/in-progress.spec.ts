import { setImmediate } from 'node:timers/promises';
import { InProgress } from './in-progress';

describe(InProgress.name, () => {
  it('settles at once while there is no work', async () => {
    await new InProgress().ended();
  });

  it('settles for all that wait when the last work has ended', async () => {
    const inProgress = new InProgress();
    const ends: string[] = [];
    const [endFirst, endSecond] = [inProgress.start(), inProgress.start()];
    for (const name of ['a', 'b']) void inProgress.ended().then(() => ends.push(name));
    endSecond();
    await setImmediate();
    expect([ends, inProgress.isEmpty]).toEqual([[], false]);
    endFirst();
    await setImmediate();
    expect([ends, inProgress.isEmpty]).toEqual([['a', 'b'], true]);
    await inProgress.ended();
  });

  it('counts work again after it was empty', async () => {
    const inProgress = new InProgress();
    inProgress.start()();
    const end = inProgress.start();
    let hasEnded = false;
    void inProgress.ended().then(() => (hasEnded = true));
    await setImmediate();
    expect(hasEnded).toBe(false);
    end();
    await setImmediate();
    expect(hasEnded).toBe(true);
  });
});
