import type { Response } from 'express';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AppRequest } from './request-id';
import { takeTurns } from './take-turns';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe(takeTurns.name, () => {
  it('lets one request pass per turn, health checks at once, and drops requests whose client has left', async () => {
    const passed: string[] = [];
    const send = (path: string, closed = false) =>
      takeTurns({ path } as AppRequest, { closed } as Response, () => passed.push(path));
    send('/v1/verify');
    send('/v1/detect', true);
    send('/v1/represent');
    send('/health/live');
    expect(passed).toEqual(['/health/live']);
    await Promise.resolve();
    expect(passed).toEqual(['/health/live', '/v1/verify']);
    for (let i = 0; i < 3; i++) await turn();
    expect(passed).toEqual(['/health/live', '/v1/verify', '/v1/represent']);
  });

  it('keeps the trace of each', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const request = { path: '/v1/verify' } as AppRequest;
    for (const name of ['a', 'b', 'c']) {
      storage.run(name, () => takeTurns(request, {} as Response, () => seen.push(storage.getStore())));
    }
    for (let i = 0; i < 4; i++) await turn();
    expect(seen).toEqual(['a', 'b', 'c']);
  });
});
