import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Counter, Gauge, Histogram, type LabelValues, Registry } from 'prom-client';
import type { AuditChange } from '../audit/audit-file';
import { FaceError } from '../../errors';
import type { EngineStatus, FaceModel, ModelStatus } from '../../face/face-model';
import type { ImageEvent } from '../../face/face.options';
import type { GalleryStore } from '../../gallery/stores/gallery-store';
import type { PurgeReport } from '../../gallery/retention';
import type { SearchEvent } from '../../gallery/gallery.options';
import { STAGES } from '../../pipeline/face.types';
import type { HttpEvent } from './measure-http';
import { type MetricEntry, type MetricName, METRICS, REJECTIONS } from './metrics';

type LabelOf<Name extends MetricName> = (typeof METRICS)[Name]['labels'][number];

type Instruments = {
  [Name in MetricName]: {
    counter: Counter<LabelOf<Name>>;
    gauge: Gauge<LabelOf<Name>>;
    histogram: Histogram<LabelOf<Name>>;
  }[(typeof METRICS)[Name]['type']];
};

const CLASSES = { counter: Counter, gauge: Gauge, histogram: Histogram };

const WORKER_STATES = [
  'starting',
  'idle',
  'busy',
  'retiring',
] as const satisfies EngineStatus['workers'][number]['state'][];

/** Sampling interval of the event loop delay, in milliseconds; Node includes it in the delay. */
const EVENT_LOOP_RESOLUTION_MS = 10;
/** Label of requests without an API key. */
const NO_KEY = 'none';
const GALLERIES_AT_A_TIME = 100;
/** The longest timeout that Node accepts. */
const NEVER_MS = 2 ** 31 - 1;

/** The metrics of one application, in its own registry: a process may hold several applications. */
@Injectable()
export class FaceMetrics implements OnApplicationShutdown {
  private readonly registry = new Registry();
  private readonly metrics = createInstruments(this.registry);
  private readonly eventLoop = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });

  constructor() {
    // The event loop monitor of prom-client cannot be stopped, so it never samples: ours does.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: NEVER_MS });
    for (const { name } of this.registry.getMetricsAsArray()) {
      if (name.startsWith('nodejs_eventloop_lag')) this.registry.removeSingleMetric(name);
    }
    // Series start at 0: an alert on an increase misses the first one of a new series.
    for (const reason of REJECTIONS) this.metrics.likeness_rejections_total.inc({ reason }, 0);
    this.observePurge({ subjectCount: 0, referenceCount: 0 });
    this.observeAudit({ written: 0, dropped: 0, isFailing: false });
    this.eventLoop.enable();
  }

  /** Counts an image. */
  observeImage({ task, outcome, timings, faceCount }: ImageEvent): void {
    this.metrics.likeness_images_total.inc({ task, outcome });
    this.metrics.likeness_faces_total.inc({ task }, faceCount);
    if (outcome !== 'ok' && REJECTIONS.includes(outcome)) {
      this.metrics.likeness_rejections_total.inc({ reason: outcome });
    }
    if (timings == null || timings.cache === 'hit' || timings.cache === 'shared') return;
    for (const [stage, key] of Object.entries(STAGES)) {
      // A stage that did not run took no time; a queue that took no time was empty.
      if (timings[key] === 0 && stage !== 'queue') continue;
      this.metrics.likeness_stage_duration_seconds.observe({ stage }, timings[key] / 1000);
    }
  }

  /** Counts a search of a gallery. */
  observeSearch({ searchMs }: SearchEvent): void {
    this.metrics.likeness_stage_duration_seconds.observe({ stage: 'search' }, searchMs / 1000);
  }

  /** Counts what was removed because it had expired. */
  observePurge({ subjectCount, referenceCount }: PurgeReport): void {
    this.metrics.likeness_purged_total.inc({ kind: 'subject' }, subjectCount);
    this.metrics.likeness_purged_total.inc({ kind: 'reference' }, referenceCount);
  }

  /** Counts a request. */
  observeHttp({
    method,
    route,
    status,
    key,
    durationMs,
  }: Pick<HttpEvent, 'method' | 'route' | 'status' | 'key' | 'durationMs'>): void {
    this.metrics.likeness_http_request_duration_seconds.observe({ method, route, status }, durationMs / 1000);
    this.metrics.likeness_key_requests_total.inc({ key: key ?? NO_KEY, status });
  }

  /** Counts lines of the audit stream. */
  observeAudit({ written, dropped, isFailing }: AuditChange): void {
    this.metrics.likeness_audit_lines_total.inc({ outcome: 'written' }, written);
    this.metrics.likeness_audit_lines_total.inc({ outcome: 'dropped' }, dropped);
    this.metrics.likeness_audit_failing.set(isFailing ? 1 : 0);
  }

  /** All metrics as Prometheus text, with the current state of model and galleries. */
  async scrape(
    model: Pick<FaceModel, 'models' | 'status' | 'readiness'>,
    store: Pick<GalleryStore, 'listGalleries' | 'revision' | 'staleSince'>,
  ): Promise<string> {
    await this.readGalleries(store);
    const { revision, staleSince } = store;
    replace(this.metrics.likeness_gallery_revision, [[{}, revision ?? 0]]);
    const staleMs = staleSince === null ? 0 : Date.now() - staleSince;
    replace(this.metrics.likeness_gallery_stale_seconds, [[{}, Math.max(0, staleMs / 1000)]]);
    this.readEngine(await model.status());
    this.readModels(model.models());
    replace(this.metrics.likeness_ready, [[{}, model.readiness().ready ? 1 : 0]]);
    this.readEventLoop();
    return this.registry.metrics();
  }

  onApplicationShutdown(): void {
    this.eventLoop.disable();
    // The garbage collection observer of prom-client cannot be stopped, and would keep all metrics in memory.
    this.registry.clear();
  }

  private readEngine({ workers, workerRestarts, queue, cache, memory }: EngineStatus): void {
    const metrics = this.metrics;
    replace(metrics.likeness_queue_length, [[{}, queue.length]]);
    replace(metrics.likeness_queue_bytes, [[{}, queue.bytes]]);
    replace(metrics.likeness_running, [[{}, queue.running]]);
    replace(
      metrics.likeness_workers,
      WORKER_STATES.map((state) => [{ state }, workers.filter((worker) => worker.state === state).length]),
    );
    replace(metrics.likeness_worker_restarts_total, [[{}, workerRestarts]]);
    replace(
      metrics.likeness_worker_memory_bytes,
      workers.flatMap(({ pid, memory: own }) =>
        pid == null || own == null
          ? []
          : [
              [{ worker: pid, kind: 'private' }, own.privateBytes],
              [{ worker: pid, kind: 'shared' }, own.sharedBytes],
            ],
      ),
    );
    replace(metrics.likeness_memory_reckoned_bytes, [[{}, memory.reckonedBytes]]);
    replace(metrics.likeness_memory_budget_bytes, [[{}, memory.budgetBytes]]);
    replace(metrics.likeness_cache_requests_total, [
      [{ outcome: 'hit' }, cache?.hits ?? 0],
      [{ outcome: 'shared' }, cache?.shared ?? 0],
      [{ outcome: 'miss' }, cache?.misses ?? 0],
    ]);
    replace(metrics.likeness_cache_entries, [[{}, cache?.entries ?? 0]]);
    replace(metrics.likeness_cache_bytes, [[{}, cache?.bytes ?? 0]]);
  }

  private readModels(models: ModelStatus[]): void {
    const metrics = this.metrics;
    replace(
      metrics.likeness_model_loaded,
      models.map(({ name, state }) => [{ model: name }, state === 'loaded' ? 1 : 0]),
    );
    replace(
      metrics.likeness_model_loads_total,
      models.map(({ name, loads }) => [{ model: name }, loads]),
    );
    replace(
      metrics.likeness_model_runs_total,
      models.map(({ name, runs }) => [{ model: name }, runs]),
    );
    replace(
      metrics.likeness_model_memory_bytes,
      models.flatMap(({ name, memoryBytes, sharedBytes }) => [
        ...(memoryBytes == null ? [] : [[{ model: name, kind: 'private' }, memoryBytes] as const]),
        ...(sharedBytes == null ? [] : [[{ model: name, kind: 'shared' }, sharedBytes] as const]),
      ]),
    );
  }

  private async readGalleries(store: Pick<GalleryStore, 'listGalleries'>): Promise<void> {
    let subjects = 0;
    let references = 0;
    try {
      for (let after: string | null | undefined; after !== null;) {
        const { items, next } = await store.listGalleries({ limit: GALLERIES_AT_A_TIME, after });
        for (const gallery of items) {
          subjects += gallery.subjectCount;
          references += gallery.referenceCount;
        }
        after = next;
      }
    } catch (error) {
      // A failing store must not hide the other metrics; its own keep their last values.
      if (error instanceof FaceError) return;
      throw error;
    }
    replace(this.metrics.likeness_gallery_subjects, [[{}, subjects]]);
    replace(this.metrics.likeness_gallery_references, [[{}, references]]);
  }

  private readEventLoop(): void {
    const delay = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - EVENT_LOOP_RESOLUTION_MS / 1000);
    replace(this.metrics.likeness_event_loop_delay_seconds, [
      ...[0.5, 0.9, 0.99].map(
        (quantile) => [{ quantile }, delay(this.eventLoop.percentile(quantile * 100))] as const,
      ),
      [{ quantile: 1 }, delay(this.eventLoop.max)],
    ]);
    this.eventLoop.reset();
  }
}

function createInstruments(registry: Registry): Instruments {
  const instruments = Object.entries<MetricEntry>(METRICS).map(([name, { type, labels, ...entry }]) => {
    const Instrument = CLASSES[type] as new (configuration: object) => unknown;
    return [name, new Instrument({ name, labelNames: labels, registers: [registry], ...entry })];
  });
  return Object.fromEntries(instruments) as Instruments;
}

/** Replaces all series of a metric with values measured elsewhere. */
function replace<Label extends string>(
  metric: Counter<Label> | Gauge<Label>,
  samples: readonly (readonly [LabelValues<Label>, number])[],
): void {
  metric.reset();
  for (const [labels, value] of samples) {
    if (metric instanceof Gauge) metric.set(labels, value);
    else metric.inc(labels, value);
  }
}
