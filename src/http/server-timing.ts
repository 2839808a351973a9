import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Response } from 'express';
import { type Observable, tap } from 'rxjs';
import type { StageTimings } from '../pipeline/face.types';
import type { AppRequest } from './request-id';

const STAGES = {
  queue: 'queueMs',
  decode: 'decodeMs',
  detect: 'detectMs',
  align: 'alignMs',
  embed: 'embedMs',
  attributes: 'attributesMs',
} as const satisfies Record<string, keyof StageTimings>;

/** An answer of a route that works on images: each result in it carries the timings of its image. */
interface TimedAnswer {
  timings?: StageTimings | { probe: StageTimings | null; reference: StageTimings | null };
  results?: { timings?: StageTimings }[];
}

/**
 * Sets `Server-Timing`: milliseconds per stage, summed over the images of the request, and `total` since its headers
 * arrived. Images run in parallel, so that the stages may add up to more than the total.
 */
export function setServerTiming(request: AppRequest, response: Response, images: StageTimings[]): void {
  const stages = Object.entries(STAGES).map(([name, key]) =>
    metric(name, sum(images.map((image) => image[key]))),
  );
  const total = metric('total', performance.now() - request.startedAt);
  response.setHeader('Server-Timing', [...(images.length > 0 ? stages : []), total].join(', '));
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

function metric(name: string, ms: number): string {
  return `${name};dur=${ms.toFixed(1)}`;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
