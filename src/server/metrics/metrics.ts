import { FACE_ERRORS, type FaceErrorCode } from '../../errors';

/** One metric of GET /metrics. */
export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** As in its HELP line and in docs/operations.md. */
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/**
 * Seconds. From the duration of an alignment (a millisecond) to twice the default of FACE_REQUEST_TIMEOUT_MS, which is a bound
 * itself. Three bounds per power of ten: the error of a quantile is the width of its bucket, but every bound is a series per label.
 */
const DURATION_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/**
 * Every metric of Likeness, in one table; docs/operations.md is tested against it. The process metrics of prom-client are
 * not in it.
 */
export const METRICS = {
  likeness_http_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the headers of a request to the end of its response; `route` is the route pattern, or `unmatched` if no route was reached; `status` is 499 if the client disconnected',
    labels: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS,
  },
  likeness_images_total: {
    type: 'counter',
    help: 'Images processed; `outcome` is `ok` or the error code',
    labels: ['task', 'outcome'],
  },
  likeness_faces_total: { type: 'counter', help: 'Faces returned', labels: ['task'] },
  likeness_rejections_total: {
    type: 'counter',
    help: 'Images refused for the state of the service, not for their content; `reason` is the error code',
    labels: ['reason'],
  },
  likeness_stage_duration_seconds: {
    type: 'histogram',
    help: 'Time of an image in a stage; cache hits go through none. Stage `search` covers the gallery search of all its faces',
    labels: ['stage'],
    buckets: DURATION_BUCKETS,
  },
  likeness_ready: {
    type: 'gauge',
    help: '1 if the service can process images, 0 if no worker can',
    labels: [],
  },
  likeness_queue_length: { type: 'gauge', help: 'Images waiting for a worker', labels: [] },
  likeness_queue_bytes: { type: 'gauge', help: 'Bytes of the images waiting for a worker', labels: [] },
  likeness_running: { type: 'gauge', help: 'Images in progress', labels: [] },
  likeness_workers: {
    type: 'gauge',
    help: 'Inference workers; `state` is `starting`, `idle`, `busy` or `retiring`',
    labels: ['state'],
  },
  likeness_worker_restarts_total: {
    type: 'counter',
    help: 'Workers that exited and were replaced',
    labels: [],
  },
  likeness_worker_memory_bytes: {
    type: 'gauge',
    help: 'Memory of a worker; `worker` is its process id, `kind` is `private`, or `shared` for pages mapped from files, which all workers share; Linux only',
    labels: ['worker', 'kind'],
  },
  likeness_memory_reckoned_bytes: {
    type: 'gauge',
    help: 'Estimated memory of the server and its workers',
    labels: [],
  },
  likeness_memory_budget_bytes: {
    type: 'gauge',
    help: 'Memory budget of the server and its workers: FACE_MEMORY_BUDGET_BYTES',
    labels: [],
  },
  likeness_model_loaded: {
    type: 'gauge',
    help: '1 if the model is loaded, 0 if it has a card but is not loaded',
    labels: ['model'],
  },
  likeness_model_loads_total: {
    type: 'counter',
    help: 'Loads of the model in all workers; requests never increase it',
    labels: ['model'],
  },
  likeness_model_runs_total: { type: 'counter', help: 'Inference runs of the model', labels: ['model'] },
  likeness_model_memory_bytes: {
    type: 'gauge',
    help: 'Memory of a loaded model in all workers; `kind` is `private`, or `shared` for weights mapped from one file',
    labels: ['model', 'kind'],
  },
  likeness_cache_requests_total: {
    type: 'counter',
    help: 'Images looked up in the cache; `outcome` is `hit`, `shared` (the same image was in progress) or `miss`',
    labels: ['outcome'],
  },
  likeness_cache_entries: { type: 'gauge', help: 'Answers in the cache', labels: [] },
  likeness_cache_bytes: { type: 'gauge', help: 'Bytes of the answers in the cache', labels: [] },
  likeness_gallery_subjects: { type: 'gauge', help: 'Subjects in all galleries', labels: [] },
  likeness_gallery_references: { type: 'gauge', help: 'References in all galleries', labels: [] },
  likeness_gallery_revision: {
    type: 'gauge',
    help: 'Latest gallery revision that this replica has read; 0 if the store has no revisions',
    labels: [],
  },
  likeness_gallery_stale_seconds: {
    type: 'gauge',
    help: 'Seconds since this replica lost the gallery servers, for which it may lack changes of other replicas; 0 while connected',
    labels: [],
  },
  likeness_purged_total: {
    type: 'counter',
    help: 'Expired entries removed; `kind` is `subject` (with all its references) or `reference` (its subject stays)',
    labels: ['kind'],
  },
  likeness_key_requests_total: {
    type: 'counter',
    help: 'Requests by name of the API key, `none` without one; `status` as in likeness_http_request_duration_seconds',
    labels: ['key', 'status'],
  },
  likeness_audit_lines_total: {
    type: 'counter',
    help: 'Lines of the audit stream; `outcome` is `written`, or `dropped` if the disk was too slow or full',
    labels: ['outcome'],
  },
  likeness_audit_failing: {
    type: 'gauge',
    help: '1 while the audit stream cannot be written, otherwise 0',
    labels: [],
  },
  likeness_event_loop_delay_seconds: {
    type: 'gauge',
    help: 'Event loop delay of the server since the last scrape; `quantile` is 0.5, 0.9, 0.99, or 1 for the maximum',
    labels: ['quantile'],
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;

/**
 * Codes that concern the service and not the image: the same image may succeed later.
 *
 * By status: too many, not available, too late. Of the conflicts (409), an image can only meet a model that is not loaded;
 * the others belong to stored embeddings and to the operator. A store or an audit stream that fails (503) never sees an image.
 */
export const REJECTIONS: readonly FaceErrorCode[] = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
  (code) =>
    code === 'MODEL_NOT_LOADED' ||
    (!/^(GALLERY|AUDIT)_/.test(code) && [429, 503, 504].includes(FACE_ERRORS[code].status ?? 0)),
);
