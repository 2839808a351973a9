import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Response } from 'express';
import { type Observable, tap } from 'rxjs';
import { CACHE_OUTCOMES, STAGES, type StageTimings } from '../pipeline/face.types';
import type { AppRequest } from './request-id';

/** An answer of a route that works on images: each result in it carries the timings of its image. */
interface TimedAnswer {
  timings?: StageTimings | { probe: StageTimings | null; reference: StageTimings | null };
  results?: { timings?: StageTimings }[];
}

/**
 * Sets `Server-Timing`: milliseconds per stage, summed over the images of the request, how the cache took them, where
 * there is one, and `total` since the headers arrived. Images run in parallel, so that the stages may add up to more than
 * the total.
 */
export function setServerTiming(request: AppRequest, response: Response, images: StageTimings[]): void {
  const stages = Object.entries(STAGES).map(([name, key]) =>
    metric(name, sum(images.map((image) => image[key]))),
  );
  const total = metric('total', performance.now() - request.startedAt);
  const metrics = [...(images.length > 0 ? stages : []), ...cacheMetric(images), total];
  response.setHeader('Server-Timing', metrics.join(', '));
}

/** Sets `Server-Timing` on successful answers; errors get theirs, `total` alone, in the error filter. */
@Injectable()
export class ServerTimingInterceptor implements NestInterceptor<TimedAnswer, TimedAnswer> {
  intercept(context: ExecutionContext, next: CallHandler<TimedAnswer>): Observable<TimedAnswer> {
    const http = context.switchToHttp();
    return next
      .handle()
      .pipe(tap((answer) => setServerTiming(http.getRequest(), http.getResponse(), timingsOf(answer))));
  }
}

function timingsOf({ timings, results = [] }: TimedAnswer): StageTimings[] {
  const sides = timings == null ? [] : 'probe' in timings ? [timings.probe, timings.reference] : [timings];
  return [...sides, ...results.map((result) => result.timings)].filter((image) => image != null);
}

/** Each outcome once, whatever the number of images. */
function cacheMetric(images: StageTimings[]): string[] {
  const outcomes = CACHE_OUTCOMES.filter((outcome) => images.some(({ cache }) => cache === outcome));
  return outcomes.length === 0 ? [] : [`cache;desc="${outcomes.join(', ')}"`];
}

function metric(name: string, ms: number): string {
  return `${name};dur=${ms.toFixed(1)}`;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
