import { Injectable } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import type { NextFunction, Response } from 'express';
import { isHealth } from './browsers';
import type { AppRequest } from './request-id';

/**
 * Lets one request at a time take a turn of the event loop, in the order they came. Hundreds of requests that arrive in the
 * same turn would otherwise be worked on one after the other, and a health check among them would wait for all of them.
 */
@Injectable()
export class EventLoopTurns {
  private readonly waiting: (() => void)[] = [];
  private isTaken = false;

  /** Does the work now where nothing else was done in this turn, else in a later one. */
  run(work: () => void): void {
    if (this.isTaken) {
      // The work of one request must not run in the trace of another.
      this.waiting.push(AsyncResource.bind(work));
      return;
    }
    this.isTaken = true;
    setImmediate(this.next);
    work();
  }

  /** Settles when the caller may go on. */
  take(): Promise<void> {
    return new Promise((resolve) => this.run(resolve));
  }

  /** Middleware: each request waits for its turn, apart from health checks. Requests of clients that have left are dropped. */
  readonly takeTurns = (request: AppRequest, response: Response, next: NextFunction): void => {
    if (isHealth(request)) return next();
    this.run(() => {
      if (!response.closed) next();
    });
  };

  private readonly next = (): void => {
    const work = this.waiting.shift();
    this.isTaken = work != null;
    if (work == null) return;
    setImmediate(this.next);
    work();
  };
}
