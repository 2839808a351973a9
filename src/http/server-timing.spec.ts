import type { Response } from 'express';
import type { CacheOutcome, StageTimings } from '../pipeline/face.types';
import type { AppRequest } from './request-id';
import { setServerTiming } from './server-timing';

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
