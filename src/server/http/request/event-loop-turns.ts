import { Injectable } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import type { NextFunction, Response } from 'express';
import { isHealth } from './browsers';
import type { AppRequest } from './request-id';

/**
 * Gives each request its own turn of the event loop, in order of arrival. Otherwise, hundreds of requests in the same
 * turn would be processed in sequence, and a health check would wait for all of them.
 */
@Injectable()
export class EventLoopTurns {
  private readonly waiting: (() => void)[] = [];
  private isTaken = false;

  /** Does the work in this turn if it is the first one, otherwise in a later turn. */
  run(work: () => void): void {
    if (this.isTaken) {
      // Keep the async context: the work must not run in the trace of another request.
      this.waiting.push(AsyncResource.bind(work));
      return;
    }
    this.isTaken = true;
    setImmediate(this.next);
    work();
  }

  /** Resolves at the turn of the caller. */
  take(): Promise<void> {
    return new Promise((resolve) => this.run(resolve));
  }

  /** Middleware: each request except health checks waits for its turn. Requests of disconnected clients are dropped. */
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
