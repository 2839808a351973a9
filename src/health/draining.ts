import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Server } from 'node:http';

const CLOSE_IDLE_EVERY_MS = 50;

/** Knows that the service is shutting down, from the signal on, while requests are still being finished. */
@Injectable()
export class Draining implements BeforeApplicationShutdown {
  isDraining = false;

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  beforeApplicationShutdown(): void {
    this.isDraining = true;
    // A connection that a client keeps open after its answer would hold the server for seconds. Closing the server
    // closes those that are idle at that moment only.
    const server = this.adapterHost.httpAdapter.getHttpServer() as Server;
    const timer = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
    server.once('close', () => clearInterval(timer));
    timer.unref();
  }
}
