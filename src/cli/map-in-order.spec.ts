import { setImmediate } from 'node:timers/promises';
import { mapInOrder } from './map-in-order';

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

describe(mapInOrder.name, () => {
  it('yields results in the order of the items, whichever is ready first', async () => {
    const work = async (turns: number) => {
      for (let i = 0; i < turns; i++) await setImmediate();
      return turns;
    };
    expect(await collect(mapInOrder([9, 1, 5, 0, 3], 3, work))).toEqual([9, 1, 5, 0, 3]);
  });

  it.each([1, 2, 5])('has %i calls in progress, and takes no item before', async (atATime) => {
    let taken = 0;
    let running = 0;
    let most = 0;
    function* items() {
      for (let i = 0; i < 20; i++) yield ++taken;
    }
    const work = async (item: number) => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      return item;
    };
    let yielded = 0;
    for await (const _ of mapInOrder(items(), atATime, work)) {
      yielded++;
      expect(taken - yielded).toBeLessThan(atATime);
    }
    expect([most, yielded]).toEqual([atATime, 20]);
  });

  it('throws an error in its turn, after the results before it', async () => {
    const work = async (item: number) => {
      if (item === 3) throw new Error('third');
      await setImmediate();
      return item;
    };
    const results = mapInOrder([1, 2, 3, 4], 4, work);
    expect([(await results.next()).value, (await results.next()).value]).toEqual([1, 2]);
    await expect(results.next()).rejects.toThrow('third');
  });
});
