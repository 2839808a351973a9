import type { FaceErrorCode } from '../errors';
import type { ModelFile } from '../models/model-store';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';
import type { ImageLimits } from '../pipeline/image/image-limits';

/*
 * Every message between the main process and an inference worker. Plain data only: class instances, getters and
 * error classes do not survive structured clone, which serializes the messages.
 */

/** Start-up data of a worker. */
export interface WorkerSettings {
  /** Models to load, in order. */
  models: ModelFile[];
  intraOpThreads: number;
  imageLimits: ImageLimits;
}

export interface PlainError {
  code: FaceErrorCode;
  message: string;
  details: Readonly<Record<string, unknown>>;
  /** For the log of the main process, never for a caller. */
  cause?: string;
}

/** One model as a worker loaded it. */
export interface LoadedModel {
  name: string;
  /** Milliseconds of reading, hashing, loading and warming. */
  loadMs: number;
  /** Growth of the worker's private memory by loading and warming, in bytes; shared memory is not counted. */
  memoryBytes: number;
  /** Whether the prepared model was loaded instead of the plain file. */
  isPrepared: boolean;
  /** Bytes of weights that are mapped, and so shared by all workers; 0 for a plain file. */
  sharedBytes: number;
  /** Why the plain file was loaded instead of the prepared model. Names no folder. */
  fallbackReason?: string;
}

/** Result of preparing one model: the path of its graph, or the reason of the failure. */
export type PreparedModel = { name: string; preparedPath: string } | { name: string; reason: string };

/** Main process to worker. */
export type WorkerRequest =
  | { type: 'start'; settings: WorkerSettings }
  | { type: 'run'; id: number; job: FaceJob }
  /** Runs a model's warm-up once more; answered with `warmed` or `error`. */
  | { type: 'warm'; id: number; model: string }
  /** Sent to a process that only prepares models, and ends. */
  | { type: 'prepare'; model: Omit<ModelFile, 'preparedPath'>; cacheDir: string };

/** Worker to main process. */
export type WorkerReply =
  | { type: 'progress'; model: string; done: number; total: number }
  | { type: 'ready'; models: LoadedModel[] }
  | { type: 'failure'; error: PlainError }
  | { type: 'result'; id: number; value: FaceJobResult }
  | { type: 'warmed'; id: number }
  | { type: 'prepared'; model: PreparedModel }
  | { type: 'error'; id: number; error: PlainError };
