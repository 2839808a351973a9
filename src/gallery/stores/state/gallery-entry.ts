import type { Gallery, NewGallery } from '../../gallery.types';
import type { GalleryState } from './gallery-state';

/** A gallery in memory; immutable like the other entries (entries.ts). */
export interface GalleryEntry extends NewGallery {
  readonly uid: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly state: GalleryState;
  record?: number;
}

export function toGallery({ uid: _uid, record: _record, state, ...gallery }: GalleryEntry): Gallery {
  return { ...gallery, subjectCount: state.subjectCount, referenceCount: state.referenceCount };
}
