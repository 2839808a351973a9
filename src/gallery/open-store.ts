import { FaceError } from '../errors';
import { machineLimits } from '../inference/machine-limits';
import {
  DEFAULT_GALLERY_DIR,
  DEFAULT_MAX_GALLERIES,
  GALLERY_STORES,
  type GalleryModuleOptions,
} from './gallery.options';
import { GalleryStore } from './gallery-store';
import { DurableStore } from './durable-store';
import { MemoryStore } from './memory-store';

/** A scan waits for memory more than for cores: beyond this, threads only take cores from the workers. */
const MAX_AUTO_THREADS = 4;
/** Models, workers and images need the rest. */
const AUTO_SHARE_OF_MEMORY = 0.5;

/**
 * Makes the store that the options name.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID where it cannot be opened; FACE_OPTIONS_INVALID for an unknown name.
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
  const megabytes = Math.round(maxBytes / 1024 ** 2);
  onNotice?.({
    level: 'log',
    message: `${store} store, ${threadCount} scan threads, ${precision}, at most ${megabytes} MiB`,
  });
  if (store === 'memory') return new MemoryStore({ threadCount, precision, maxBytes, maxGalleries });
  const { dir = DEFAULT_GALLERY_DIR, key, acceptDamage, nats = { servers: [] } } = options;
  if (store === 'jetstream') {
    // The client is loaded with the first store that needs it. import() would want a flag under Jest.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { JetstreamStore } = require('./jetstream-store') as typeof import('./jetstream-store');
    return JetstreamStore.open({
      nats,
      key,
      threadCount,
      precision,
      maxBytes,
      maxGalleries,
      onProgress,
      onNotice,
    });
  }
  return DurableStore.open({
    dir,
    key: key ?? undefined,
    acceptDamage,
    threadCount,
    precision,
    maxBytes,
    maxGalleries,
    onProgress,
    onNotice,
  });
}
