import { FairQueue, type Waiting } from './fair-queue';

interface Item extends Waiting {
  name: string;
}
const item = (name: string, bytes = 1): Item => ({ name, caller: name[0], bytes });
const drain = (queue: FairQueue<Item>) => {
  const names: string[] = [];
  for (let next = queue.shift(); next != null; next = queue.shift()) names.push(next.name);
  return names;
};

describe(FairQueue.name, () => {
  it('serves callers in turn, and each in its own order', () => {
    const queue = new FairQueue<Item>(100, 100);
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) expect(queue.push(item(name))).toBeNull();
    expect(drain(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
    expect(queue.length).toBe(0);
  });

  it('lets a newcomer in before a caller that waits with much', () => {
    const queue = new FairQueue<Item>(100, 100);
    for (let i = 0; i < 9; i++) queue.push(item(`a${i}`));
    queue.shift();
    queue.push(item('b0'));
    expect([queue.shift()?.name, queue.shift()?.name]).toEqual(['a1', 'b0']);
  });

  it('gives a lone caller half, and the next one room', () => {
    const queue = new FairQueue<Item>(10, 100);
    const taken = Array.from({ length: 10 }, (_, i) => queue.push(item(`a${i}`)));
    expect(taken).toEqual([...Array(5).fill(null), ...Array(5).fill('caller')]);
    expect(queue.push(item('b0'))).toBeNull();
  });

  it('is full for everybody at its count, and at its bytes', () => {
    const queue = new FairQueue<Item>(3, 100);
    expect(['a', 'b', 'c', 'd'].map((name) => queue.push(item(name)))).toEqual([null, null, null, 'full']);
    const small = new FairQueue<Item>(10, 10);
    expect([
      queue.length,
      small.push(item('a', 6)),
      small.push(item('b', 5)),
      small.push(item('c', 4)),
    ]).toEqual([3, null, 'full', null]);
    small.shift();
    expect(small.push(item('b', 5))).toBeNull();
  });

  it('passes over what a taker cannot do, which keeps its place', () => {
    const queue = new FairQueue<Item>(100, 100);
    for (const name of ['a1', 'a2', 'b1', 'a3']) queue.push(item(name));
    expect(queue.shift(({ name }) => name !== 'a1')?.name).toBe('a2');
    expect(queue.shift(({ name }) => name === 'none')).toBeUndefined();
    expect([queue.length, queue.bytes]).toEqual([3, 3]);
    expect(drain(queue)).toEqual(['b1', 'a1', 'a3']);
  });

  it('takes work out and puts it back as the next', () => {
    const queue = new FairQueue<Item>(10, 10);
    const [a, b] = [item('a1'), item('b1')];
    queue.push(a);
    queue.push(b);
    expect([queue.remove(a), queue.remove(a)]).toEqual([true, false]);
    queue.unshift(a);
    expect(queue.length).toBe(2);
    expect(drain(queue)).toEqual(['a1', 'b1']);
    queue.push(a);
    queue.push(b);
    expect(queue.clear()).toEqual([a, b]);
    expect([queue.length, queue.push(item('x', 10))]).toEqual([0, null]);
  });

  it('holds no more of a caller than places are left for it', () => {
    const queue = new FairQueue<Item>(100, 1000);
    expect(queue.push(item('a'), 1)).toBeNull();
    expect(queue.push(item('a'), 1)).toBe('full');
    expect(queue.push(item('b'), 1)).toBeNull();
    expect(queue.push(item('b'), 1)).toBe('caller');
    expect(queue.push(item('c'), 0)).toBe('full');
    expect(queue.length).toBe(2);
  });
});
