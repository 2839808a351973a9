import { FACE_ERRORS, type FaceErrorCode } from '../../errors';

/** One metric of GET /metrics. */
export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** What it counts or measures, as in its HELP line and in docs/operations.md. */
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/**
 * Seconds. From what alignment takes (a millisecond) to twice the default of FACE_REQUEST_TIMEOUT_MS, which is a bound
 * itself: what lies above it was given up. Three bounds in each power of ten, as the error of a quantile is the width of
 * its bucket; every bound is a series per label, so no more than that.
 */
const DURATION_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/**
 * Every metric of Likeness, in one table; docs/operations.md is tested against it. What prom-client adds of the process is
 * not in it.
 */
export const METRICS = {
  likeness_http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the headers of a request to the end of its answer; `route` is the pattern of the route, `unmatched` where none was reached, `status` 499 where the client left',
    labels: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS,
  },
  likeness_images_total: {
    type: 'counter',
    help: 'Images that were asked about; `outcome` is `ok` or the code of the error',
    labels: ['task', 'outcome'],
  },
  likeness_faces_total: { type: 'counter', help: 'Faces that were answered with', labels: ['task'] },
  likeness_rejections_total: {
    type: 'counter',
    help: 'Images that were refused or given up through no fault of theirs; `reason` is the code of the error',
    labels: ['reason'],
  },
  likeness_stage_duration_seconds: {
    type: 'histogram',
    help: 'Time of an image in a stage; what the cache answered went through none. Stage `search` is that of all its faces in a gallery',
    labels: ['stage'],
    buckets: DURATION_BUCKETS,
  },
  likeness_ready: {
    type: 'gauge',
    help: 'Whether images are answered: 1, or 0 where no worker can',
    labels: [],
  },
  likeness_queue_length: { type: 'gauge', help: 'Images that wait for a worker', labels: [] },
  likeness_queue_bytes: { type: 'gauge', help: 'Bytes of the images that wait', labels: [] },
  likeness_running: { type: 'gauge', help: 'Images that are worked on', labels: [] },
  likeness_workers: {
    type: 'gauge',
    help: 'Inference workers; `state` is `starting`, `idle`, `busy` or `retiring`',
    labels: ['state'],
  },
  likeness_worker_restarts_total: {
    type: 'counter',
    help: 'Workers that ended and were replaced',
    labels: [],
  },
  likeness_worker_memory_bytes: {
    type: 'gauge',
    help: 'Memory of a worker; `worker` is its process id, `kind` is `private`, or `shared` for pages mapped from files, which count once for all workers; Linux only',
    labels: ['worker', 'kind'],
  },
  likeness_memory_reckoned_bytes: {
    type: 'gauge',
    help: 'What server and workers are reckoned to take',
    labels: [],
  },
  likeness_memory_budget_bytes: {
    type: 'gauge',
    help: 'What they may take: FACE_MEMORY_BUDGET_BYTES',
    labels: [],
  },
  likeness_model_loaded: {
    type: 'gauge',
    help: '1 where the model answers, 0 where it has a card and is not loaded',
    labels: ['model'],
  },
  likeness_model_loads_total: {
    type: 'counter',
    help: 'Times that the model was loaded, all workers together; no request ever adds to it',
    labels: ['model'],
  },
  likeness_model_runs_total: { type: 'counter', help: 'Runs of the network', labels: ['model'] },
  likeness_model_memory_bytes: {
    type: 'gauge',
    help: 'Memory of a loaded model, all workers together; `kind` is `private`, or `shared` for weights that they map from one file',
    labels: ['model', 'kind'],
  },
  likeness_cache_requests_total: {
    type: 'counter',
    help: 'Images that came to the cache; `outcome` is `hit`, `shared` (the same image was being worked on) or `miss`',
    labels: ['outcome'],
  },
  likeness_cache_entries: { type: 'gauge', help: 'Answers in the cache', labels: [] },
  likeness_cache_bytes: { type: 'gauge', help: 'Bytes of the answers in the cache', labels: [] },
  likeness_gallery_subjects: { type: 'gauge', help: 'Subjects of all galleries together', labels: [] },
  likeness_gallery_references: { type: 'gauge', help: 'References of all galleries together', labels: [] },
  likeness_gallery_revision: {
    type: 'gauge',
    help: 'Of the galleries, as far as this replica has read them; 0 where the store has no revisions',
    labels: [],
  },
  likeness_gallery_stale_seconds: {
    type: 'gauge',
    help: 'For how long this replica may lack changes of others, as it does not reach the servers of the galleries; 0 while it does',
    labels: [],
  },
  likeness_purged_total: {
    type: 'counter',
    help: 'Removed because it had expired; `kind` is `subject` (with all its references) or `reference` (of a subject that stays)',
    labels: ['kind'],
  },
  likeness_key_requests_total: {
    type: 'counter',
    help: 'Requests by the name of their API key, `none` without one; `status` as in likeness_http_request_duration_seconds',
    labels: ['key', 'status'],
  },
  likeness_audit_lines_total: {
    type: 'counter',
    help: 'Lines of the audit stream; `outcome` is `written`, or `dropped` where the disk was too slow or full',
    labels: ['outcome'],
  },
  likeness_audit_failing: {
    type: 'gauge',
    help: '1 while the audit stream cannot be written, else 0',
    labels: [],
  },
  likeness_event_loop_delay_seconds: {
    type: 'gauge',
    help: 'How late the event loop of the server was since the last scrape; `quantile` is 0.5, 0.9, 0.99, or 1 for the worst',
    labels: ['quantile'],
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;

/**
 * Codes that say something of the service and not of the image: the same image may be answered at another time.
 *
 * By status: too many, not available, too late. Of the conflicts (409) only a model that is not loaded is met by an image;
 * the others belong to stored embeddings and to the operator. A store or an audit stream that fails (503) never sees an image.
 */
export const REJECTIONS: readonly FaceErrorCode[] = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
  (code) =>
    code === 'MODEL_NOT_LOADED' ||
    (!/^(GALLERY|AUDIT)_/.test(code) && [429, 503, 504].includes(FACE_ERRORS[code].status ?? 0)),
);
