import type { GalleryModuleOptions } from './gallery.options';
import type { GalleryStore } from './gallery-store';

/** Makes the store that the options name. What a kind needs is loaded in its case only. */
export async function openStore(options: GalleryModuleOptions): Promise<GalleryStore> {
  const { store = 'memory' } = options;
  if (typeof store === 'object') return store;
  throw new Error(`no store ${store} yet`);
}
