import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Response } from 'express';
import { type Observable, tap } from 'rxjs';
import { CACHE_OUTCOMES, STAGES, type StageTimings } from '../../../pipeline/face.types';
import type { AppRequest } from './request-id';

/** Timings of one result: of its image, if any, and of a search. */
type Timings = (StageTimings & { searchMs?: number }) | { searchMs: number };

/** A response of a route with images: each result has the timings of its image. */
interface TimedAnswer {
  timings?: Timings | { probe: StageTimings | null; reference: StageTimings | null } | null;
  results?: { timings?: StageTimings | null }[];
}

/**
 * Sets `Server-Timing`: milliseconds per stage, summed over the images of the request; of the gallery search; the cache
 * status, if the caller has access to it ({@link maySeeCache}); and `total` since the headers arrived. Images run in
 * parallel, so the stages can add up to more than the total.
 */
export function setServerTiming(
  request: AppRequest,
  response: Response,
  images: StageTimings[],
  searchMs?: number,
): void {
  const stages = Object.entries(STAGES).map(([name, key]) =>
    metric(name, sum(images.map((image) => image[key]))),
  );
  const total = metric('total', performance.now() - request.startedAt);
  const search = searchMs == null ? [] : [metric('search', searchMs)];
  const cache = maySeeCache(request) ? cacheMetric(images) : [];
  const metrics = [...(images.length > 0 ? stages : []), ...search, ...cache, total];
  response.setHeader('Server-Timing', metrics.join(', '));
  if (images.length > 0) request.timings = timingsOfStages(images, searchMs);
}

/**
 * Sets `Server-Timing` on successful responses; the error filter sets `total` on errors. Also removes the cache status
 * from `timings` in the body if the caller has no access to it.
 */
@Injectable()
export class ServerTimingInterceptor implements NestInterceptor<TimedAnswer, TimedAnswer> {
  intercept(context: ExecutionContext, next: CallHandler<TimedAnswer>): Observable<TimedAnswer> {
    const http = context.switchToHttp();
    return next.handle().pipe(
      tap((answer) => {
        const { timings } = answer;
        const request = http.getRequest<AppRequest>();
        const images = timingsOf(answer);
        const searchMs = timings != null && 'searchMs' in timings ? timings.searchMs : undefined;
        setServerTiming(request, http.getResponse(), images, searchMs);
        if (!maySeeCache(request)) for (const image of images) delete image.cache;
      }),
    );
  }
}

function timingsOf({ timings, results = [] }: TimedAnswer): StageTimings[] {
  const sides = timings != null && 'probe' in timings ? [timings.probe, timings.reference] : [timings];
  return [...sides, ...results.map((result) => result.timings)].filter(
    (image): image is StageTimings => image != null && 'queueMs' in image,
  );
}

/** A cache hit reveals that somebody has sent the same photo before, so only operators see it. */
function maySeeCache({ apiKey }: AppRequest): boolean {
  return apiKey == null || apiKey.scopes.has('metrics');
}

/** Lists each cache status once, for any number of images. */
function cacheMetric(images: StageTimings[]): string[] {
  const outcomes = CACHE_OUTCOMES.filter((outcome) => images.some(({ cache }) => cache === outcome));
  return outcomes.length === 0 ? [] : [`cache;desc="${outcomes.join(', ')}"`];
}

/** Milliseconds of each stage that ran, for the log. */
function timingsOfStages(images: StageTimings[], searchMs = 0): Record<string, number> {
  const stages = Object.entries(STAGES).map(
    ([name, key]) => [name, sum(images.map((image) => image[key]))] as const,
  );
  const took = [...stages, ['search', searchMs] as const].filter(([, ms]) => ms > 0);
  return Object.fromEntries(took.map(([name, ms]) => [name, Math.round(ms * 10) / 10]));
}

function metric(name: string, ms: number): string {
  return `${name};dur=${ms.toFixed(1)}`;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
