import type { Response } from 'express';
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventLoopTurns } from './event-loop-turns';
import type { AppRequest } from './request-id';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe(EventLoopTurns.name, () => {
  it('does the first work at once, and then one in each turn of the event loop, in their order', async () => {
    const turns = new EventLoopTurns();
    const done: number[] = [];
    for (const name of [1, 2, 3]) turns.run(() => done.push(name));
    const counts = [done.length];
    for (let i = 0; i < 3; i++) {
      await turn();
      counts.push(done.length);
    }
    expect(counts).toEqual([1, 2, 3, 3]);
    expect(done).toEqual([1, 2, 3]);
    turns.run(() => done.push(4));
    expect(done).toHaveLength(4);
  });

  it('keeps the trace of each', async () => {
    const turns = new EventLoopTurns();
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    for (const name of ['a', 'b', 'c']) {
      storage.run(name, () => turns.run(() => seen.push(storage.getStore())));
    }
    await turn();
    await turn();
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('lets health checks pass, and drops requests whose client has left', async () => {
    const turns = new EventLoopTurns();
    const passed: string[] = [];
    const send = (path: string, closed = false) =>
      turns.takeTurns({ path } as AppRequest, { closed } as Response, () => passed.push(path));
    send('/v1/verify');
    send('/v1/detect', true);
    send('/v1/represent');
    send('/health/live');
    expect(passed).toEqual(['/v1/verify', '/health/live']);
    for (let i = 0; i < 3; i++) await turn();
    expect(passed).toEqual(['/v1/verify', '/health/live', '/v1/represent']);
  });
});
