import type { Auto, Notice } from '../face/face.options';
import type { GalleryStore } from './stores/gallery-store';
import type { GallerySettings } from './gallery.types';
import type { NatsSettings } from './stores/jetstream/nats-settings';
import type { PurgeReport } from './retention';
import type { VectorPrecision } from './search/vector-index';

/** Stores that the module creates. */
export const GALLERY_STORES = ['memory', 'durable', 'jetstream'] as const;
export type GalleryStoreKind = (typeof GALLERY_STORES)[number];

/** Range of `scanThreads`. */
export const SCAN_THREADS_RANGE = [1, 64] as const;

/** Range of `maxGalleries`. */
export const MAX_GALLERIES_RANGE = [1, 1_000_000] as const;
/** @see {@link GalleryModuleOptions.maxGalleries} */
export const DEFAULT_MAX_GALLERIES = 100_000;

/** Range of `maxBytes`. */
export const GALLERY_BYTES_RANGE = [1024 ** 2, 1024 ** 4] as const;

/**
 * Options of `GalleryModule.forRoot`.
 *
 * @publicApi
 */
export interface GalleryModuleOptions {
  /** `memory`: lost with the process; `durable`: a folder; `jetstream`: NATS servers, shared by replicas; or your own store. @defaultValue `memory` */
  store?: GalleryStoreKind | GalleryStore;
  /** `durable`: folder, created if missing. @defaultValue data/gallery */
  dir?: string;
  /**
   * `durable` and `jetstream`: encryption key for ids, embeddings and metadata, 32 characters or more; required for `jetstream`.
   * @defaultValue none: no encryption
   */
  key?: string | null;
  /** `durable`: open a folder even if more than 1 % of its records cannot be read, and serve the rest. @defaultValue false */
  acceptDamage?: boolean;
  /** `jetstream`: how to connect to the servers. */
  nats?: NatsSettings;
  /** @defaultValue `float32` */
  precision?: VectorPrecision;
  /** Number of search threads. `auto`: one per core, at most 4. @defaultValue `auto` */
  scanThreads?: number | Auto;
  /**
   * Memory limit of all galleries in bytes; beyond it additions fail with GALLERY_FULL. `auto`: half the memory of the machine
   * or container. @defaultValue `auto`
   */
  maxBytes?: number | Auto;
  /** Maximum number of galleries in a store of the module; beyond it creation fails with GALLERY_FULL. @defaultValue 100,000 */
  maxGalleries?: number;
  /**
   * False: the gate `strict` compares a face only with the references of its own subject, not with all subjects (1:N).
   * @defaultValue true
   */
  identification?: boolean;
  /** Default settings of new galleries. @defaultValue {@link DEFAULT_GALLERY_SETTINGS} */
  defaultGallery?: Partial<GallerySettings>;
  /** Called with the progress of opening a durable or jetstream store. */
  onProgress?: (progress: StoreProgress) => void;
  /** Called with messages for the operator: resolved `auto` values, an unusable gallery, damaged records. */
  onNotice?: (notice: Notice) => void;
  /** Called after every search. */
  onSearch?: (event: SearchEvent) => void;
  /** Called after expired subjects or references were removed, by a purge or by a search that found them. */
  onPurge?: (removed: PurgeReport) => void;
}

/** Number of records done, and in total. */
export interface StoreProgress {
  /** `upgrade`: rewriting records in the format of this release, after all were read. @defaultValue `read` */
  stage?: 'read' | 'upgrade';
  done: number;
  total: number;
}

/** One search, for metrics: without embeddings and ids. */
export interface SearchEvent {
  /** Milliseconds for all faces of the probe together. */
  searchMs: number;
}

/** Default folder of a durable store. */
export const DEFAULT_GALLERY_DIR = 'data/gallery';

/** Default settings of new galleries. */
export const DEFAULT_GALLERY_SETTINGS: Readonly<GallerySettings> = {
  threshold: null,
  targetFmr: null,
  targetFpir: null,
  capacity: 100_000,
  maxSubjects: null,
  maxReferencesPerSubject: 20,
  enrollmentGate: 'standard',
  maxAgeSeconds: null,
  sinceLastMatchSeconds: null,
  matchesSince: null,
  keepCrops: false,
  metadata: {},
};

/** Id of the gallery that exists after boot. */
export const DEFAULT_GALLERY_ID = 'default';
