import { newGallery } from '../../../test/support/gallery-store-contract';
import { decodeGalleries, encodeBundle, encodeRecord } from './durable/encode-content';
import { decodeGallery } from './jetstream/entry-content';
import type { GalleryEntry } from './state/gallery-entry';

describe('settings of a gallery that were stored under the former name', () => {
  const { enrollmentGate: _gate, ...others } = newGallery({ enrollmentGate: 'off' });
  const former = { ...others, enrolmentGate: 'strict' };
  const current = { ...others, enrollmentGate: 'strict' };

  it('are read by the durable store', () => {
    const record = encodeRecord({ kind: 'gallery', gallery: former as unknown as GalleryEntry });
    const [gallery] = decodeGalleries(Buffer.from(encodeBundle([record])));
    expect(gallery).toMatchObject(current);
    expect(gallery).not.toHaveProperty('enrolmentGate');
  });

  it('are read by the jetstream store', () => {
    const { gallery, key } = decodeGallery(Buffer.from(JSON.stringify({ gallery: former, key: 'k' })));
    expect(gallery).toEqual(current);
    expect(key).toBe('k');
  });
});
