import type { FaceErrorCode } from '../errors';
import type { ModelCard } from '../model-store/model-card';
import type { FaceJob, FaceJobResult } from '../pipeline/face-job';

/*
 * Every message between the main process and an inference worker. Plain data only: class instances, getters and
 * error classes do not survive the crossing (style.md T4, T5). Serialised by structured clone.
 */

/** Start-up data of a worker. */
export interface WorkerSettings {
  /** Models to load, in order, each with the path of its file. */
  models: { card: ModelCard; path: string }[];
  intraOpThreads: number;
  maxImagePixels: number;
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
  /** Growth of the worker's resident memory by the load, in bytes. */
  memoryBytes: number;
}

/** Main process to worker. */
export type WorkerRequest =
  { type: 'start'; settings: WorkerSettings } | { type: 'run'; id: number; job: FaceJob };

/** Worker to main process. */
export type WorkerReply =
  | { type: 'progress'; model: string; done: number; total: number }
  | { type: 'ready'; models: LoadedModel[] }
  | { type: 'failure'; error: PlainError }
  | { type: 'result'; id: number; value: FaceJobResult }
  | { type: 'error'; id: number; error: PlainError };
