import { FaceError } from '../errors';
import { machineLimits } from '../inference/machine-limits';
import { DEFAULT_GALLERY_DIR, type GalleryModuleOptions } from './gallery.options';
import { GalleryStore } from './gallery-store';
import { LanceStore } from './lance-store';
import { MemoryStore } from './memory-store';

/** A scan waits for memory more than for cores: beyond this, threads only take cores from the workers. */
const MAX_AUTO_THREADS = 4;

/**
 * Makes the store that the options name. What only one kind of store needs is loaded with it and not before.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID where it cannot be opened; FACE_OPTIONS_INVALID for `lancedb` without a `uri`.
 */
export async function openStore(options: GalleryModuleOptions): Promise<GalleryStore> {
  const { store = 'memory', precision = 'float32', scanThreads = 'auto', onProgress, onNotice } = options;
  if (store instanceof GalleryStore) return store;
  if (store === 'lancedb') {
    const { uri } = options;
    if (uri == null) throw new FaceError('FACE_OPTIONS_INVALID', 'Expected a uri for store lancedb.');
    onNotice?.({ level: 'log', message: 'lancedb store' });
    return LanceStore.open({ uri, onNotice });
  }
  const threadCount =
    scanThreads === 'auto' ? Math.min(machineLimits().cores, MAX_AUTO_THREADS) : scanThreads;
  onNotice?.({ level: 'log', message: `${store} store, ${threadCount} scan threads, ${precision}` });
  if (store === 'memory') return new MemoryStore({ threadCount, precision });
  const { dir = DEFAULT_GALLERY_DIR, key } = options;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- import() would want a flag under Jest
  const { DurableStore } = require('./durable-store') as typeof import('./durable-store');
  return DurableStore.open({ dir, key: key ?? undefined, threadCount, precision, onProgress, onNotice });
}
