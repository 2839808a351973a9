import type { NextFunction, Response } from 'express';
import { takeTurn } from '../../../turns';
import { isHealth } from './browsers';
import type { AppRequest } from './request-id';

/** Middleware: each request except health checks waits for its turn. Requests of disconnected clients are dropped. */
export function takeTurns(request: AppRequest, response: Response, next: NextFunction): void {
  if (isHealth(request)) return next();
  void takeTurn().then(() => {
    if (!response.closed) next();
  });
}
