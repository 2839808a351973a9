import type { Auto, Notice } from '../face/face.options';
import type { GalleryStore } from './stores/gallery-store';
import type { GallerySettings } from './gallery.types';
import type { NatsSettings } from './stores/jetstream/nats-settings';
import type { PurgeReport } from './retention';
import type { VectorPrecision } from './search/vector-index';

/** Stores that the module makes. */
export const GALLERY_STORES = ['memory', 'durable', 'jetstream'] as const;
export type GalleryStoreKind = (typeof GALLERY_STORES)[number];

/** In how many threads galleries may be scanned. */
export const SCAN_THREADS_RANGE = [1, 64] as const;

/** Of `maxGalleries`. */
export const MAX_GALLERIES_RANGE = [1, 1_000_000] as const;
/** @see {@link GalleryModuleOptions.maxGalleries} */
export const DEFAULT_MAX_GALLERIES = 100_000;

/** Of `maxBytes`. */
export const GALLERY_BYTES_RANGE = [1024 ** 2, 1024 ** 4] as const;

/**
 * What `GalleryModule.forRoot` takes.
 *
 * @publicApi
 */
export interface GalleryModuleOptions {
  /** `memory`: gone with the process; `durable`: a folder; `jetstream`: NATS servers, shared by replicas; or a store of one's own. @defaultValue `memory` */
  store?: GalleryStoreKind | GalleryStore;
  /** `durable`: folder, made where it is absent. @defaultValue data/gallery */
  dir?: string;
  /**
   * `durable` and `jetstream`: key with which ids, embeddings and metadata are encrypted, 32 characters or more. `jetstream`
   * needs one. @defaultValue none: they are not
   */
  key?: string | null;
  /** `durable`: open a folder of which more than 1 % cannot be read, and serve the rest. @defaultValue false */
  acceptDamage?: boolean;
  /** `jetstream`: how the servers are reached. */
  nats?: NatsSettings;
  /** @defaultValue `float32` */
  precision?: VectorPrecision;
  /** Threads that scan. `auto`: one per core, at most 4. @defaultValue `auto` */
  scanThreads?: number | Auto;
  /**
   * Bytes that all galleries may take in memory; more is refused with GALLERY_FULL. `auto`: half of
   * what the machine or the container has. @defaultValue `auto`
   */
  maxBytes?: number | Auto;
  /** Most galleries of a store that the module makes; one more is refused with GALLERY_FULL. @defaultValue 100,000 */
  maxGalleries?: number;
  /**
   * False: the gate `strict` compares a face with the references of its own subject alone, not with all subjects (1:N).
   * @defaultValue true
   */
  identification?: boolean;
  /** Settings of galleries that are made without them. @defaultValue {@link DEFAULT_GALLERY_SETTINGS} */
  defaultGallery?: Partial<GallerySettings>;
  /** Told of records, or entries, while a durable or jetstream store is opened. */
  onProgress?: (progress: StoreProgress) => void;
  /** Told what an operator should read: what was taken for `auto`, a gallery that cannot be used, damaged records. */
  onNotice?: (notice: Notice) => void;
  /** Told of every search by an identification. */
  onSearch?: (event: SearchEvent) => void;
  /** Told of what was removed because it had expired, by a purge or by a search that met it. */
  onPurge?: (removed: PurgeReport) => void;
}

/** Records that were done, of all there are. */
export interface StoreProgress {
  /** `upgrade`: they are written again in the format of this release, after all were read. @defaultValue `read` */
  stage?: 'read' | 'upgrade';
  done: number;
  total: number;
}

/** One search, for metrics: holds no embedding and no id. */
export interface SearchEvent {
  /** Milliseconds, of all faces of the probe together. */
  searchMs: number;
}

/** Folder of a durable store for which nothing else was said. */
export const DEFAULT_GALLERY_DIR = 'data/gallery';

/** Settings of a gallery for which nothing else was said. */
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

/** The gallery that exists after boot. */
export const DEFAULT_GALLERY_ID = 'default';
