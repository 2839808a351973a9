import type { Response } from 'express';
import type { ApiKey } from '../auth/api-key';
import { loadAppConfig } from '../../config/load-app-config';
import { FaceError } from '../../../errors';
import { CallerStore, limitRequests } from './rate-limit';
import type { AppRequest } from './request-id';

describe(CallerStore.name, () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('counts each caller for a minute from its first request on', () => {
    const store = new CallerStore();
    expect(store.increment('a').totalHits).toBe(1);
    expect(store.increment('b').totalHits).toBe(1);
    jest.advanceTimersByTime(59_999);
    expect(store.increment('a').totalHits).toBe(2);
    jest.advanceTimersByTime(1);
    expect(store.increment('a').totalHits).toBe(1);
  });

  it('forgets the caller that it has not seen for longest, and holds no more than it may', () => {
    const store = new CallerStore(2);
    store.increment('a');
    store.increment('b');
    store.increment('a');
    store.increment('c');
    expect(store.increment('a').totalHits).toBe(3);
    expect(store.increment('b').totalHits).toBe(1);
  });

  it('takes requests back', () => {
    const store = new CallerStore();
    store.increment('a');
    store.decrement('a');
    store.decrement('unknown');
    expect(store.increment('a').totalHits).toBe(1);
    store.resetKey('a');
    expect(store.increment('a').totalHits).toBe(1);
  });
});

describe(limitRequests.name, () => {
  /** How many of ten requests of one caller pass, per minute that the service and the key allow. */
  async function passing(ofService: string, key?: Partial<ApiKey>, path = '/v1/verify'): Promise<number> {
    const limit = limitRequests(loadAppConfig({ FACE_REQUESTS_PER_MINUTE: ofService }));
    let passed = 0;
    for (let i = 0; i < 10; i++) {
      const request = { path, ip: '203.0.113.1', socket: {}, apiKey: key } as unknown as AppRequest;
      const response = { setHeader: () => undefined, append: () => undefined } as unknown as Response;
      await new Promise<void>((resolve, reject) => {
        void limit(request, response, (error?: unknown) => {
          if (error == null) passed++;
          else if (!(error instanceof FaceError && error.code === 'RATE_LIMIT_EXCEEDED'))
            reject(error as Error);
          resolve();
        });
      });
    }
    return passed;
  }

  it('limits to what the service allows', async () => expect(await passing('4')).toBe(4));
  it('is off by default', async () => expect(await passing('0')).toBe(10));
  it('limits a key to what it allows itself, be it less', async () =>
    expect(await passing('4', { name: 'staff', requestsPerMinute: 2 })).toBe(2));
  it('limits a key to what it allows itself, be it more', async () =>
    expect(await passing('4', { name: 'staff', requestsPerMinute: 7 })).toBe(7));
  it('limits a key that says nothing as everyone', async () =>
    expect(await passing('4', { name: 'staff' })).toBe(4));
  it('limits a key where the service has no limit', async () =>
    expect(await passing('0', { name: 'staff', requestsPerMinute: 3 })).toBe(3));
  it.each([['/health/live'], ['/Health/ready'], ['/metrics'], ['/METRICS/']])(
    'never limits %s',
    async (path) => expect(await passing('1', undefined, path)).toBe(10),
  );
  it.each([['/metrics/x'], ['/healthy']])('limits %s', async (path) =>
    expect(await passing('1', undefined, path)).toBe(1),
  );
});
