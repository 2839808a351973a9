import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { HttpEvent } from '../../metrics/measure-http';
import { inspect } from 'node:util';
import { Bursts } from './bursts';

/** Statuses of requests rejected before any work, which are summarized: a flood of them must not fill the log. */
const REFUSED = [401, 429, 503];
/** Routes that monitoring calls frequently. */
const PROBES = /^\/(health\/|metrics$)/;

/** A line of the log. It has only these fields, so that it cannot contain data of the caller. */
export interface RequestLine {
  requestId: string;
  /** Name of the API key. */
  key: string | null;
  method: string;
  /** Pattern of the route, because a path contains subject ids. */
  route: string;
  status: number;
  code: string | null;
  durationMs: number;
  /** Milliseconds per stage of the images of the request. */
  timings?: Readonly<Record<string, number>>;
  /** Number of requests that the line stands for. */
  count?: number;
}

/** A line with its fields for loggers that write objects, and in one line of text for those that inspect them, as Nest's does. */
class PrintedLine {
  constructor(fields: RequestLine) {
    Object.assign(this, fields);
  }

  [inspect.custom](): string {
    return textOf(this as unknown as RequestLine);
  }
}

function textOf({ method, route, status, code, durationMs, key, count, requestId }: RequestLine): string {
  const parts = [
    `${method} ${route} ${status}`,
    code,
    `${durationMs} ms`,
    key == null ? null : `key ${key}`,
    count == null ? null : `${count} times`,
    requestId,
  ];
  return parts.filter((part) => part != null).join(' ');
}

/** Writes one line per request, and summarizes bursts of rejected ones. */
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
    const printed = new PrintedLine(line);
    if (line.status >= 500) this.logger.warn(printed);
    else if (PROBES.test(line.route)) this.logger.debug(printed);
    else this.logger.log(printed);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
