import { getHeapStatistics } from 'node:v8';
import { FaceError } from '../../errors';
import { machineLimits } from '../../inference/machine-limits';
import {
  DEFAULT_GALLERY_DIR,
  DEFAULT_MAX_GALLERIES,
  GALLERY_STORES,
  type GalleryModuleOptions,
} from '../gallery.options';
import { GalleryStore } from './gallery-store';
import { DurableStore } from './durable-store';
import { MemoryStore } from './memory-store';

/** A scan is bound by memory bandwidth: more threads would only take cores from the workers. */
const MAX_AUTO_THREADS = 4;
/** Share of the machine's memory for galleries; models, workers and images need the rest. */
const AUTO_SHARE_OF_MEMORY = 0.5;
/** Share of the heap limit for galleries; requests and the garbage collector need the rest. */
const SHARE_OF_HEAP = 0.75;

/**
 * Opens the store named by the options.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID if it cannot be opened; FACE_OPTIONS_INVALID for an unknown name.
 */
export async function openStore(options: GalleryModuleOptions): Promise<GalleryStore> {
  const { store = 'memory', precision = 'float32', scanThreads = 'auto', onProgress, onNotice } = options;
  const limits = machineLimits();
  if (store instanceof GalleryStore) return store;
  if (!GALLERY_STORES.includes(store)) {
    const names = GALLERY_STORES.join(', ');
    throw new FaceError('FACE_OPTIONS_INVALID', `\`store\` must be a GalleryStore or one of ${names}.`);
  }
  const threadCount = scanThreads === 'auto' ? Math.min(limits.cores, MAX_AUTO_THREADS) : scanThreads;
  const { maxBytes: givenBytes = 'auto', maxGalleries = DEFAULT_MAX_GALLERIES } = options;
  const maxBytes = givenBytes === 'auto' ? limits.memoryBytes * AUTO_SHARE_OF_MEMORY : givenBytes;
  const maxHeapBytes = getHeapStatistics().heap_size_limit * SHARE_OF_HEAP;
  const megabytes = Math.round(maxBytes / 1024 ** 2);
  onNotice?.({
    level: 'log',
    message: `${store} store, ${threadCount} scan threads, ${precision}, at most ${megabytes} MiB`,
  });
  const limited = { threadCount, precision, maxBytes, maxHeapBytes, maxGalleries };
  if (store === 'memory') return new MemoryStore(limited);
  const { dir = DEFAULT_GALLERY_DIR, key, acceptDamage, nats = { servers: [] } } = options;
  if (store === 'jetstream') {
    // Loads the NATS client only for the store that needs it. import() would need a flag under Jest.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { JetstreamStore } = require('./jetstream-store') as typeof import('./jetstream-store');
    return JetstreamStore.open({ ...limited, nats, key, onProgress, onNotice });
  }
  return DurableStore.open({ ...limited, dir, key: key ?? undefined, acceptDamage, onProgress, onNotice });
}
