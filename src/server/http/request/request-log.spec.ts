import { Logger } from '@nestjs/common';
import { inspect } from 'node:util';
import type { HttpEvent } from '../../metrics/measure-http';
import { RequestLog } from './request-log';

const EVENT: HttpEvent = {
  requestId: 'r-1',
  method: 'POST',
  route: '/v1/verify',
  status: 200,
  code: null,
  key: 'till',
  durationMs: 12.345,
  timings: { embed: 8 },
};

describe(RequestLog.name, () => {
  let written: [string, Record<string, unknown>][];
  let log: RequestLog;

  beforeEach(() => {
    written = [];
    log = new RequestLog();
    const keep = (level: string) => (line: Record<string, unknown>) => void written.push([level, line]);
    Logger.overrideLogger({
      debug: keep('debug'),
      log: keep('log'),
      warn: keep('warn'),
      error: keep('error'),
    });
  });
  afterEach(() => {
    log.onApplicationShutdown();
    Logger.overrideLogger(true);
  });

  it('writes a line for each request', () => {
    log.observe(EVENT);
    log.observe(EVENT);
    const line = { ...EVENT, durationMs: 12.3 };
    expect(written).toEqual([
      ['log', line],
      ['log', line],
    ]);
  });

  it('is one line of text in the logger of Nest, which another app may use', () => {
    log.observe(EVENT);
    expect(inspect(written[0][1])).toBe('POST /v1/verify 200 12.3 ms key till r-1');
  });

  it('takes probes and failures of the service by their weight', () => {
    log.observe({ ...EVENT, route: '/health/ready' });
    log.observe({ ...EVENT, status: 500, code: 'INTERNAL_ERROR' });
    expect(written.map(([level]) => level)).toEqual(['debug', 'warn']);
  });

  it.each([
    [401, 'UNAUTHORIZED'],
    [429, 'CALLER_QUEUE_FULL'],
    [503, 'QUEUE_FULL'],
  ] as const)('writes a burst of %d as two lines, with the count', (status, code) => {
    for (let i = 0; i < 1000; i++) log.observe({ ...EVENT, status, code });
    log.onApplicationShutdown();
    expect(written.map(([, { count }]) => count)).toEqual([undefined, 999]);
  });
});
