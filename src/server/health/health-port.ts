import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AppConfig } from '../config/app.config';
import { HEARTBEAT, type HealthThreadData, READY } from './health-state';
import { Readiness } from './readiness';

const HEARTBEAT_EVERY_MS = 200;
const HEAP_MB = 16;

/** Also serves `/health/live` and `/health/ready` on FACE_HEALTH_PORT, from a separate thread. */
@Injectable()
export class HealthPort implements OnApplicationBootstrap, OnApplicationShutdown {
  private thread: Worker | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly config: AppConfig,
    private readonly readiness: Readiness,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const { healthPort: port, host } = this.config;
    if (port === 0) return;
    const state = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT);
    const cells = new BigInt64Array(state);
    const beat = () => {
      Atomics.store(cells, READY, this.readiness.problem === null ? 1n : 0n);
      Atomics.store(cells, HEARTBEAT, BigInt(Date.now()));
    };
    beat();
    this.timer = setInterval(beat, HEARTBEAT_EVERY_MS).unref();
    const data: HealthThreadData = { port, host, state };
    this.thread = new Worker(join(__dirname, 'health-thread.js'), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    await once(this.thread, 'message');
    this.thread.unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.thread?.terminate();
  }
}
