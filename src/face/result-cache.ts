import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { FaceError, type FaceErrorCode } from '../errors';
import { aborted, queueFull, timedOut } from '../inference/refusals';
import type { RunOptions } from '../inference/worker-pool';
import type { FaceJob } from '../pipeline/face-job';
import { NO_TIMINGS, type FaceDetection, type ImageFaces } from '../pipeline/face.types';
import type { EngineStatus } from './face-model';

export interface ResultCacheOptions {
  /** Limit of the cached bytes; the least recently used answers are dropped first. */
  maxBytes: number;
  /** Lifetime of an answer in milliseconds; a hit does not extend it. */
  ttlMs: number;
  /** Most milliseconds from a call to its answer. */
  requestTimeoutMs: number;
  /** Limit of the bytes of all images whose callers wait for work of another caller. */
  maxWaitingBytes: number;
}

export type CacheStatus = NonNullable<EngineStatus['cache']>;

/** An answer of any task; the fields of its faces follow from the job. */
export type Answer = ImageFaces<FaceDetection>;

/** Does the job, for as long as `signal` allows and on the account of `caller`. */
type Work = (options: RunOptions) => Promise<Answer>;

/** An answer without its timings, which are those of one call. */
type Content = Omit<Answer, 'timings'>;

/** One call that waits for an answer. */
interface Waiter {
  readonly caller: string | undefined;
  readonly work: Work;
  readonly since: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** A job in progress, with its waiters in the order of arrival. */
interface InFlight {
  readonly key: string;
  readonly waiters: Set<Waiter>;
  /** Aborts when the last waiter leaves. */
  readonly controller: AbortController;
  /** Set by a purge: the waiters get the answer, and it is not cached. */
  isPurged: boolean;
}

/**
 * Memory of an entry beside its bytes and its key: places in lists and a map, a timer, the objects around the bytes.
 * Measured on Node 20.20 as the growth of heap and external memory, garbage collected, over 50,000 entries.
 */
const ENTRY_OVERHEAD_BYTES = 768;

/** Errors that concern only the caller that started the work; other waiters do not get them. */
const ERRORS_OF_ONE_CALLER: readonly FaceErrorCode[] = [
  'CALLER_QUEUE_FULL',
  'CALLER_QUARANTINED',
  'REQUEST_ABORTED',
  'INFERENCE_TIMEOUT',
];

/** `Retry-After` of callers that the cache refuses: most work takes less. */
const RETRY_AFTER_SECONDS = 1;

/**
 * Caches answers by the hash of the image, the models and the options; never an image. Equal jobs in progress run once for
 * all their callers. Errors are not cached.
 *
 * An answer is cached as bytes and deserialized for each caller, so that callers share no object.
 */
export class ResultCache {
  private readonly answers: LRUCache<string, Uint8Array>;
  private readonly flights = new Map<string, InFlight>();
  private readonly counts = { hits: 0, shared: 0, misses: 0 };
  private waitingBytes = 0;

  constructor(private readonly options: ResultCacheOptions) {
    this.answers = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (bytes, key) => bytes.byteLength + key.length + ENTRY_OVERHEAD_BYTES,
      ttl: options.ttlMs,
      // Biometric data is deleted when it expires, not at the next access.
      ttlAutopurge: true,
      // With a clock that lags, lru-cache 11.5.3 arms no further timer for an entry whose age is exactly its limit.
      ttlResolution: 0,
      // Taken at construction instead of at import: fake timers replace it.
      perf: performance,
    });
  }

  /**
   * Answers a job from the cache, from an equal job in progress, or with `work`.
   *
   * `work` gets a signal that aborts when no caller waits any more, and no deadline: each caller keeps its own here.
   *
   * @param job - its image is hashed before anything else, at about 0.6 ms a megabyte on the calling thread, and must not
   * change before the answer.
   * @returns an answer that the caller may change. `timings.cache` is its source; stages that did not run for this caller are
   * 0, and `queueMs` includes the wait for the work of another caller.
   * @throws {FaceError} REQUEST_ABORTED, INFERENCE_TIMEOUT by the caller's own signal and deadline; QUEUE_FULL where too
   * many bytes wait for the work of others; all that `work` throws.
   */
  run(job: FaceJob, options: RunOptions, work: Work): Promise<Answer> {
    if (options.signal?.aborted) return Promise.reject(aborted());
    const key = keyOf(job);
    const kept = this.answers.get(key);
    if (kept != null) {
      this.counts.hits++;
      return Promise.resolve({ ...read(kept), timings: { ...NO_TIMINGS, cache: 'hit' } });
    }
    const flight = this.flights.get(key);
    if (flight == null) return this.start(key, options, work);
    // The queue of the pool is bounded, but counts only one of these callers.
    if (this.waitingBytes + job.image.byteLength > this.options.maxWaitingBytes) {
      return Promise.reject(queueFull(RETRY_AFTER_SECONDS));
    }
    return this.join(flight, job.image.byteLength, options, work);
  }

  /**
   * Deletes answers. Jobs in progress are answered, but their answers are not cached.
   *
   * @param imageSha256 - hexadecimal sha256 of the image whose answers are deleted; absent: all are.
   * @returns the number of deleted answers.
   */
  purge(imageSha256?: string): number {
    const isMeant = (key: string) => imageSha256 == null || imageOf(key) === imageSha256.toLowerCase();
    for (const flight of this.flights.values()) flight.isPurged ||= isMeant(flight.key);
    const before = this.answers.size;
    // A scan of all keys, about a microsecond each: an index by image would cost every answer memory and time.
    if (imageSha256 == null) this.answers.clear();
    else for (const key of [...this.answers.keys()].filter(isMeant)) this.answers.delete(key);
    return before - this.answers.size;
  }

  /** Cached answers and their bytes; answered calls by the `timings.cache` of the answer. */
  stats(): CacheStatus {
    return {
      entries: this.answers.size,
      bytes: this.answers.calculatedSize,
      maxBytes: this.options.maxBytes,
      ...this.counts,
    };
  }

  private start(key: string, options: RunOptions, work: Work): Promise<Answer> {
    const flight: InFlight = { key, waiters: new Set(), controller: new AbortController(), isPurged: false };
    this.flights.set(key, flight);
    const answer = this.join(flight, 0, options, work);
    void this.work(flight);
    return answer;
  }

  private join(flight: InFlight, bytes: number, options: RunOptions, work: Work): Promise<Answer> {
    const { signal, timeoutMs, caller } = options;
    const limitMs = Math.min(timeoutMs ?? Infinity, this.options.requestTimeoutMs);
    return new Promise((resolve, reject) => {
      const leave = (error: FaceError) => {
        waiter.reject(error);
        if (flight.waiters.size > 0) return;
        this.flights.delete(flight.key);
        flight.controller.abort();
      };
      const onAbort = () => leave(aborted());
      const timer = setTimeout(() => leave(timedOut(limitMs)), limitMs);
      const settle = <T>(finish: (value: T) => void) => {
        return (value: T) => {
          if (!flight.waiters.delete(waiter)) return;
          this.waitingBytes -= bytes;
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          finish(value);
        };
      };
      const waiter: Waiter = {
        caller,
        work,
        since: performance.now(),
        resolve: settle(resolve),
        reject: settle(reject),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      flight.waiters.add(waiter);
      this.waitingBytes += bytes;
    });
  }

  /** Does the work of the first waiter; where it fails for a reason of that caller alone, the work of the next. */
  private async work(flight: InFlight): Promise<void> {
    const { waiters, controller } = flight;
    for (const leader of waiters) {
      const startedAt = performance.now();
      try {
        const answer = await leader.work({ signal: controller.signal, caller: leader.caller });
        this.answer(flight, leader, answer, startedAt - leader.since);
      } catch (error) {
        if (isOfOneCaller(error)) leader.reject(error);
        else for (const waiter of waiters) waiter.reject(error);
      }
    }
    // Where all have left, another flight may have the key by now.
    if (this.flights.get(flight.key) === flight) this.flights.delete(flight.key);
  }

  /** @param waitedMs - wait of the leader for the work of other callers before its own began. */
  private answer(flight: InFlight, leader: Waiter, answer: Answer, waitedMs: number): void {
    const { imageWidth, imageHeight, rotation, detectionScale, unalignedCount, faceCount, faces, timings } =
      answer;
    const { imageHash } = answer;
    const image = { imageWidth, imageHeight, rotation, detectionScale, ...(imageHash && { imageHash }) };
    const content: Content = { ...image, unalignedCount, faceCount, faces };
    // An exact copy: the buffer of the serializer may be twice the size of its content.
    const bytes = new Uint8Array(serialize(content));
    if (flight.waiters.size > 0 && !flight.isPurged) this.answers.set(flight.key, bytes);
    for (const waiter of flight.waiters) {
      const isLeader = waiter === leader;
      this.counts[isLeader ? 'misses' : 'shared']++;
      waiter.resolve({
        ...read(bytes),
        timings: isLeader
          ? { ...timings, queueMs: timings.queueMs + waitedMs, cache: 'miss' }
          : { ...NO_TIMINGS, queueMs: performance.now() - waiter.since, cache: 'shared' },
      });
    }
  }
}

/** The content of cached bytes. Reads a copy: deserialized typed arrays are views of the bytes that were read. */
function read(bytes: Uint8Array): Content {
  return deserialize(bytes.slice()) as Content;
}

function isOfOneCaller(error: unknown): boolean {
  return error instanceof FaceError && ERRORS_OF_ONE_CALLER.includes(error.code);
}

/** sha256 of the image, then the rest of the job. */
function keyOf({ image, ...rest }: FaceJob): string {
  // JSON would write NaN and Infinity alike.
  const options = JSON.stringify(rest, (_name, value: unknown) =>
    typeof value === 'number' ? String(value) : value,
  );
  return createHash('sha256').update(image).digest('hex') + options;
}

function imageOf(key: string): string {
  return key.slice(0, 64);
}
