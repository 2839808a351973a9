import type { ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { lastValueFrom, of } from 'rxjs';
import type { ApiKey, Scope } from '../auth/api-key';
import type { CacheOutcome, StageTimings } from '../../../pipeline/face.types';
import type { AppRequest } from './request-id';
import { ServerTimingInterceptor, setServerTiming } from './server-timing';

const STAGES = {
  queueMs: 1,
  decodeMs: 2,
  detectMs: 3,
  alignMs: 4,
  embedMs: 5,
  attributesMs: 6,
  presentationAttackMs: 7,
};

function serverTiming(...images: StageTimings[]): string {
  return serverTimingOf(images);
}

function serverTimingOf(images: StageTimings[], searchMs?: number): string {
  const headers = new Map<string, string>();
  const response = { setHeader: (name: string, value: string) => headers.set(name, value) };
  const request = { startedAt: performance.now() };
  setServerTiming(request as AppRequest, response as unknown as Response, images, searchMs);
  return (headers.get('Server-Timing') as string).replace(/(total;dur=)\d+\.\d$/, '$1T');
}

describe(setServerTiming.name, () => {
  it('says the total alone where there is no image', () => {
    expect(serverTiming()).toBe('total;dur=T');
  });

  it('sums the stages of the images', () => {
    expect(serverTiming(STAGES, STAGES)).toBe(
      'queue;dur=2.0, decode;dur=4.0, detect;dur=6.0, align;dur=8.0, embed;dur=10.0, attributes;dur=12.0, presentation_attack;dur=14.0, total;dur=T',
    );
  });

  it('says how long a search took, with and without an image', () => {
    expect(serverTimingOf([], 7)).toBe('search;dur=7.0, total;dur=T');
    expect(serverTimingOf([STAGES], 7)).toContain('presentation_attack;dur=7.0, search;dur=7.0, total');
  });

  it.each<{ outcomes: CacheOutcome[]; desc: string }>([
    { outcomes: ['hit'], desc: 'hit' },
    { outcomes: ['miss', 'miss'], desc: 'miss' },
    { outcomes: ['miss', 'hit'], desc: 'hit, miss' },
    { outcomes: ['miss', 'shared', 'hit', 'shared'], desc: 'hit, shared, miss' },
  ])('says $desc for $outcomes', ({ outcomes, desc }) => {
    const header = serverTiming(...outcomes.map((cache) => ({ ...STAGES, cache })));
    expect(header).toContain(`, cache;desc="${desc}", total;dur=T`);
    expect(header.match(/cache/g)).toHaveLength(1);
  });

  it('says nothing of a cache that did not take the image', () => {
    expect(serverTiming(STAGES, { ...STAGES, cache: 'hit' })).toContain('cache;desc="hit"');
    expect(serverTiming(STAGES)).not.toContain('cache');
  });
});

describe(ServerTimingInterceptor.name, () => {
  /** Header and body of an answer of which an image came from the cache. */
  async function answerTo(apiKey?: Partial<ApiKey>) {
    const headers = new Map<string, string>();
    const response = { setHeader: (name: string, value: string) => headers.set(name, value) };
    const request = { startedAt: performance.now(), apiKey };
    const http = { getRequest: () => request, getResponse: () => response };
    const context = { switchToHttp: () => http } as unknown as ExecutionContext;
    const verified = { probe: { ...STAGES, cache: 'hit' as const }, reference: { ...STAGES } };
    const answer = { timings: verified, results: [{ timings: { ...STAGES, cache: 'miss' as const } }] };
    const body = await lastValueFrom(
      new ServerTimingInterceptor().intercept(context, { handle: () => of(answer) }),
    );
    return { header: headers.get('Server-Timing') as string, body: JSON.stringify(body) };
  }

  it.each<[string, Scope[] | undefined]>([
    ['callers of a service without keys', undefined],
    ['keys with the scope metrics', ['verify', 'metrics']],
  ])('tells the cache to %s', async (_, scopes) => {
    const { header, body } = await answerTo(scopes && { scopes: new Set(scopes) });
    expect(header).toContain('cache;desc="hit, miss"');
    expect(body.match(/"cache":"(hit|miss)"/g)).toHaveLength(2);
  });

  it('tells other keys no cache, in the header and in the body, but the stages', async () => {
    const { header, body } = await answerTo({ scopes: new Set<Scope>(['verify', 'admin']) });
    expect(header).toMatch(/^queue;dur=3\.0, decode;dur=6\.0, .*, total;dur=[\d.]+$/);
    expect(header + body).not.toMatch(/cache|hit|miss/);
    expect(body).toContain('"decodeMs":2');
  });
});
