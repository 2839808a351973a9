import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { NextFunction, Request, Response } from 'express';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';

const CLOSE_IDLE_EVERY_MS = 50;
/** Time to wait for the first request on an open connection. Such a request is rejected. */
const FIRST_REQUEST_MS = 500;

/**
 * Shuts down in two steps. After the signal, readiness fails but requests are still served for FACE_SHUTDOWN_DELAY_MS,
 * so that load balancers redirect their traffic. Then the service drains: running requests finish, new ones on open
 * connections are rejected.
 */
@Injectable()
export class Draining implements OnModuleInit, BeforeApplicationShutdown {
  isShuttingDown = false;
  private isDraining = false;
  /**
   * Responses in progress by slot; a freed slot is taken again. Not a set: V8 keeps what the old tables of a set hold that
   * changes with every request until a full collection.
   */
  private readonly unanswered: (Response | undefined)[] = [];
  private readonly freeSlots: number[] = [];
  /** Connections without a request so far. */
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

  /** May be called earlier than by Nest; the second call does nothing. */
  async beforeApplicationShutdown(): Promise<void> {
    if (this.isShuttingDown) return;
    this.isShuttingDown = true;
    const { shutdownDelayMs } = this.config;
    if (shutdownDelayMs > 0) await sleep(shutdownDelayMs);
    this.isDraining = true;
    // A client could keep the server open by sending further requests on the same connection.
    for (const response of this.unanswered) if (response != null) closeAfter(response);
    // Closing the server closes only connections that are idle at that moment; later ones would delay it by seconds.
    const server = this.adapterHost.httpAdapter.getHttpServer() as Server;
    const timer = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
    timer.unref();
    // Node does not treat these as idle, and enforces no header timeout while the server closes.
    const unaskedTimer = setTimeout(() => {
      for (const socket of this.unasked) socket.destroy();
    }, FIRST_REQUEST_MS);
    server.once('close', () => {
      clearInterval(timer);
      clearTimeout(unaskedTimer);
    });
  }

  /** Middleware of every route except health. */
  readonly refuseWhileDraining = (request: Request, response: Response, next: NextFunction): void => {
    if (!this.isDraining) {
      const slot = this.freeSlots.pop() ?? this.unanswered.length;
      this.unanswered[slot] = response;
      response.once('close', () => {
        this.unanswered[slot] = undefined;
        this.freeSlots.push(slot);
      });
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
