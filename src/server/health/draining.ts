import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { NextFunction, Request, Response } from 'express';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';

const CLOSE_IDLE_EVERY_MS = 50;
/** Time for a request that is on its way on a connection on which none was made yet; it is refused when it comes. */
const FIRST_REQUEST_MS = 500;

/**
 * Ends the service in two steps. From the signal on it says that it is not ready, and serves all the same, for
 * FACE_SHUTDOWN_DELAY_MS: load balancers notice, and send their requests elsewhere. Then it drains: what was asked before is
 * finished, what is asked afterwards, on a connection that is still open, is refused.
 */
@Injectable()
export class Draining implements OnModuleInit, BeforeApplicationShutdown {
  isShuttingDown = false;
  private isDraining = false;
  private readonly unanswered = new Set<Response>();
  /** Connections on which no request was made yet. */
  private readonly unasked = new Set<Socket>();

  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly config: AppConfig,
  ) {}

  onModuleInit(): void {
    const server = this.adapterHost.httpAdapter?.getHttpServer() as Server | undefined;
    server?.on('connection', (socket: Socket) => {
      this.unasked.add(socket);
      socket.once('close', () => this.unasked.delete(socket));
    });
    server?.on('request', ({ socket }: IncomingMessage) => this.unasked.delete(socket));
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isShuttingDown = true;
    const { shutdownDelayMs } = this.config;
    if (shutdownDelayMs > 0) await sleep(shutdownDelayMs);
    this.isDraining = true;
    // A client that sends its next request on the same connection would hold the server for as long as it likes.
    for (const response of this.unanswered) closeAfter(response);
    // A connection that a client keeps open after its answer would hold the server for seconds. Closing the server
    // closes those that are idle at that moment only.
    const server = this.adapterHost.httpAdapter.getHttpServer() as Server;
    const timer = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
    timer.unref();
    // Node does not count these as idle, and no longer limits the time of their headers once the server is closing.
    const unaskedTimer = setTimeout(() => {
      for (const socket of this.unasked) socket.destroy();
    }, FIRST_REQUEST_MS);
    server.once('close', () => {
      clearInterval(timer);
      clearTimeout(unaskedTimer);
    });
  }

  /** Middleware of every route; health goes on answering. */
  readonly refuseWhileDraining = (request: Request, response: Response, next: NextFunction): void => {
    if (!this.isDraining) {
      this.unanswered.add(response);
      response.once('close', () => this.unanswered.delete(response));
      return next();
    }
    closeAfter(response);
    if (request.path.startsWith('/health/')) return next();
    next(new FaceError('NOT_READY', 'The service is shutting down.'));
  };
}

function closeAfter(response: Response): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}
