import { FaceError } from '../errors';
import { machineLimits } from '../inference/machine-limits';
import { DEFAULT_GALLERY_DIR, type GalleryModuleOptions } from './gallery.options';
import { GalleryStore } from './gallery-store';
import { MemoryStore } from './memory-store';

/** More threads than this only wait for memory: the scan is bound by it, not by the cores. */
const MAX_AUTO_THREADS = 4;

/**
 * Makes the store that the options name.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID where it cannot be opened; FACE_OPTIONS_INVALID for a LanceDB store without an
 * address.
 */
export async function openStore(options: GalleryModuleOptions): Promise<GalleryStore> {
  const { store = 'memory', precision = 'float32', scanThreads = 'auto', onNotice } = options;
  if (store instanceof GalleryStore) return store;
  if (store === 'lancedb') return openLanceStore(options);
  const threadCount =
    scanThreads === 'auto' ? Math.min(machineLimits().cores, MAX_AUTO_THREADS) : scanThreads;
  onNotice?.({ level: 'log', message: `${store} store, ${threadCount} scan threads, ${precision}` });
  if (store === 'memory') return new MemoryStore({ threadCount, precision });
  throw new FaceError('FACE_OPTIONS_INVALID', `Store ${store} is not there.`, { dir: DEFAULT_GALLERY_DIR });
}

async function openLanceStore({ uri }: GalleryModuleOptions): Promise<GalleryStore> {
  if (uri == null) throw new FaceError('FACE_OPTIONS_INVALID', 'Expected a uri for store lancedb.');
  throw new FaceError('FACE_OPTIONS_INVALID', 'Store lancedb is not there.');
}
