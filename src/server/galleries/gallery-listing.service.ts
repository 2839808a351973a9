import { Injectable } from '@nestjs/common';
import { nullOn } from '../../errors';
import type { Gallery, Page, PageRequest } from '../../gallery/gallery.types';
import { PageRoom } from '../../gallery/pages';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import type { ApiKey } from '../http/auth/api-key';

/** The galleries that a key may see. */
@Injectable()
export class GalleryListing {
  constructor(private readonly store: GalleryStore) {}

  /** A page of all galleries, or of those that the key is limited to. */
  list(page: PageRequest, key?: ApiKey): Promise<Page<Gallery>> {
    return key?.galleries == null ? this.store.listGalleries(page) : this.listNamed(key.galleries, page);
  }

  /** A page of the named galleries; those that do not exist are left out. */
  private async listNamed(
    ids: readonly string[],
    { limit, after = '' }: PageRequest,
  ): Promise<Page<Gallery>> {
    const rest = ids.filter((id) => id > after).sort();
    const names = rest.slice(0, limit);
    const room = new PageRoom(limit);
    const items: Gallery[] = [];
    let next = after;
    for (const name of names) {
      const gallery = await nullOn('GALLERY_NOT_FOUND', this.store.getGallery(name));
      if (gallery != null) {
        if (!room.take(gallery)) return { items, next };
        items.push(gallery);
      }
      next = name;
    }
    return { items, next: rest.length > limit ? next : null };
  }
}
