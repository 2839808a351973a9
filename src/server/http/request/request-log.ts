import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { HttpEvent } from '../../metrics/measure-http';
import { Bursts } from './bursts';

/** Statuses of requests that were refused before any work: floods of them must not fill the log. */
const REFUSED = [401, 429, 503];
/** Routes that monitoring asks all the time. */
const PROBES = /^\/(health\/|metrics$)/;

/** A line of the log: only these fields, so that nothing that a caller has sent gets into it. */
export interface RequestLine {
  requestId: string;
  /** Name of the API key. */
  key: string | null;
  method: string;
  /** Pattern of the route: a path has ids of subjects in it. */
  route: string;
  status: number;
  code: string | null;
  durationMs: number;
  /** Milliseconds per stage of the images of the request. */
  timings?: Readonly<Record<string, number>>;
  /** How many requests the line stands for. */
  count?: number;
}

/** Writes one line for each answered request, and few for a burst of refused ones. */
@Injectable()
export class RequestLog implements OnApplicationShutdown {
  private readonly logger = new Logger('Request');
  private readonly refusals = new Bursts<RequestLine>(
    (line, count) => this.write(count === 1 ? line : { ...line, count }),
    (line) => ({ ...line, key: null }),
  );

  readonly observe = (event: HttpEvent): void => {
    const { requestId, key, method, route, status, code, durationMs, timings } = event;
    const line = { requestId, key, method, route, status, code, durationMs: round(durationMs), timings };
    if (REFUSED.includes(status)) {
      this.refusals.add([status, code, key, method, route].join(' '), line);
    } else {
      this.write(line);
    }
  };

  onApplicationShutdown(): void {
    this.refusals.close();
  }

  private write(line: RequestLine): void {
    if (line.status >= 500) this.logger.warn(line);
    else if (PROBES.test(line.route)) this.logger.debug(line);
    else this.logger.log(line);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
