import { galleryStoreContract, newGallery, newReference } from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import { VECTOR_PRECISIONS } from './index/vector-index';
import type { AddedReference } from './gallery.types';
import { MemoryStore } from './memory-store';

describe.each(VECTOR_PRECISIONS)('MemoryStore, %s', (precision) => {
  galleryStoreContract(
    'MemoryStore',
    async (options) => new MemoryStore({ threadCount: 2, precision, ...options }),
  );

  it('refuses a cursor that it has not given', async () => {
    const store = new MemoryStore({ threadCount: 1, precision });
    await expect(store.listGalleries({ limit: 1, after: 'zzz' })).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      details: { fields: { cursor: expect.any(String) } },
    });
    await store.close();
  });

  it('refuses what would take more memory than all galleries may, until something goes', async () => {
    const random = unitVectors(1, newGallery().dimensions);
    // Room for three: a little over 1.5 KiB each.
    const store = new MemoryStore({ threadCount: 1, precision, maxBytes: 5.5 * 1024 });
    try {
      await store.createGallery(newGallery({ id: 'a' }));
      await store.createGallery(newGallery({ id: 'b' }));
      const add = (galleryId: string, ...ids: string[]) =>
        store.addReferences(
          galleryId,
          ids.map((id) => newReference('ann', id, random())),
        );
      expect(await add('a', 'r1', 'r2')).toMatchObject([{ status: 'added' }, { status: 'added' }]);
      expect(await add('b', 'r1', 'r2', 'r1')).toMatchObject([
        { status: 'added' },
        { code: 'GALLERY_FULL', details: { maxBytes: 5.5 * 1024 } },
        { status: 'existing' },
      ]);
      expect(await store.getGallery('b')).toMatchObject({ referenceCount: 1 });
      await store.deleteReference('a', 'ann', 'r1');
      expect(await add('b', 'r2')).toMatchObject([{ status: 'added' }]);
    } finally {
      await store.close();
    }
  });

  it('keeps the id of a subject in its composed form, and finds it by any', async () => {
    const [composed, decomposed] = ['Jos\u00e9', 'Jose\u0301'];
    const store = new MemoryStore({ threadCount: 1, precision });
    try {
      await store.createGallery(newGallery({ id: 'a' }));
      const random = unitVectors(1, newGallery().dimensions);
      await store.addReferences('a', [newReference(decomposed, 'r1', random())]);
      expect(await store.putSubject('a', composed, { known: true })).toMatchObject({ isNew: false });
      await store.addReferences('a', [newReference(composed, 'r2', random())]);
      const { items } = await store.listSubjects('a', { limit: 10 });
      expect(items).toMatchObject([{ id: composed, referenceCount: 2 }]);
      expect(await store.getReference('a', decomposed, 'r2')).toMatchObject({ subjectId: composed });
      expect(await store.listReferences('a', decomposed)).toMatchObject([
        { id: 'r1', subjectId: composed },
        { id: 'r2', subjectId: composed },
      ]);
      await expect(store.renameSubject('a', composed, decomposed, { merge: false })).resolves.toMatchObject({
        id: composed,
      });
      await store.renameSubject('a', decomposed, 'ann', { merge: false });
      expect(await store.renameSubject('a', 'ann', decomposed, { merge: false })).toMatchObject({
        id: composed,
      });
      expect(await store.deleteSubject('a', decomposed)).toEqual({ subjectCount: 1, referenceCount: 2 });
    } finally {
      await store.close();
    }
  });

  it('names ten others of one image, however many there are, and forgets those that go', async () => {
    const store = new MemoryStore({ threadCount: 1, precision });
    try {
      await store.createGallery(newGallery({ id: 'a' }));
      const random = unitVectors(1, newGallery().dimensions);
      const imageHash = 'a'.repeat(64);
      const add = async (name: string) => {
        const [added] = await store.addReferences('a', [newReference(name, name, random(), { imageHash })]);
        return (added as AddedReference).sameImage.map(({ referenceId }) => referenceId);
      };
      const names = Array.from({ length: 13 }, (_, i) => `r${i}`);
      for (const [i, name] of names.entries()) {
        const others = await add(name);
        expect(new Set(others).size).toBe(Math.min(i, 10));
        expect(names.slice(0, i)).toEqual(expect.arrayContaining(others));
      }
      for (const name of names.slice(2)) await store.deleteSubject('a', name);
      await store.renameSubject('a', 'r0', 'r1', { merge: true });
      expect(await add('last')).toEqual(['r1']);
      await store.deleteReference('a', 'r1', 'r1');
      await store.deleteReference('a', 'last', 'last');
      expect(await add('alone')).toEqual([]);
    } finally {
      await store.close();
    }
  });
});
