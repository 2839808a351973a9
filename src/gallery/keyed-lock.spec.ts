import { KeyedLock } from './keyed-lock';

describe(KeyedLock.name, () => {
  const gate = () => {
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    return { open, opened };
  };

  it('runs work on one key in turn, on other keys beside it', async () => {
    const lock = new KeyedLock();
    const { open, opened } = gate();
    const order: string[] = [];
    const first = lock.run('a', async () => {
      await opened;
      order.push('first');
    });
    const second = lock.run('a', async () => void order.push('second'));
    await lock.run('b', async () => void order.push('other'));
    open();
    await Promise.all([first, second]);
    expect(order).toEqual(['other', 'first', 'second']);
  });

  it('hands on the answer, and the error without stopping what waits', async () => {
    const lock = new KeyedLock();
    const failing = lock.run('a', () => Promise.reject(new Error('no')));
    const next = lock.run('a', () => Promise.resolve(7));
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe(7);
  });

  it('forgets a key that nobody works on', async () => {
    const lock = new KeyedLock();
    await Promise.all([lock.run('a', async () => 1), lock.run('a', async () => 2)]);
    expect((lock as unknown as { tails: Map<string, unknown> }).tails.size).toBe(0);
  });
});
