import { setImmediate } from 'node:timers/promises';
import { SharedLock } from './shared-lock';

describe(SharedLock.name, () => {
  let lock: SharedLock;
  let events: string[];

  beforeEach(() => {
    lock = new SharedLock();
    events = [];
  });

  /** Work that says when it begins and ends. */
  const work = (name: string, turns: number) => async () => {
    events.push(`${name} begins`);
    for (let i = 0; i < turns; i++) await setImmediate();
    events.push(`${name} ends`);
    return name;
  };

  it('lets work that shares a key run at the same time', async () => {
    expect(await Promise.all([lock.share('k', work('a', 3)), lock.share('k', work('b', 1))])).toEqual([
      'a',
      'b',
    ]);
    expect(events).toEqual(['a begins', 'b begins', 'b ends', 'a ends']);
  });

  it('lets work run alone: after those before it, before those after it', async () => {
    await Promise.all([
      lock.share('k', work('a', 3)),
      lock.runAlone('k', work('alone', 3)),
      lock.share('k', work('b', 1)),
      lock.runAlone('k', work('alone too', 1)),
      lock.share('other', work('c', 0)),
    ]);
    const at = (event: string) => events.indexOf(event);
    expect(at('alone begins')).toBeGreaterThan(at('a ends'));
    expect(at('b begins')).toBeGreaterThan(at('alone ends'));
    expect(at('alone too begins')).toBeGreaterThan(at('alone ends'));
    expect(at('c ends')).toBeLessThan(at('a ends'));
  });

  it('goes on after work that fails', async () => {
    const fails = () => Promise.reject(new Error('no'));
    await expect(lock.share('k', fails)).rejects.toThrow('no');
    await expect(lock.runAlone('k', fails)).rejects.toThrow('no');
    expect(await lock.share('k', work('a', 0))).toBe('a');
  });
});
