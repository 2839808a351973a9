import { galleryStoreContract, newGallery, newReference } from '../../../test/support/gallery-store-contract';
import { unitVectors } from '../../../test/support/random-unit';
import { VECTOR_PRECISIONS, type VectorPrecision } from '../search/vector-index';
import type { AddedReference } from '../gallery.types';
import { MemoryStore } from './memory-store';
import { NO_RIGHTS } from './state/entries';
import { bytesOfGallery, bytesOfReference, bytesOfSubject } from './state/weigh';

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
    const maxBytes = bytesOf({ galleries: 2, subjects: 2, references: 3 }, precision);
    const store = new MemoryStore({ threadCount: 1, precision, maxBytes });
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
        { code: 'GALLERY_FULL', details: { maxBytes } },
        { status: 'existing' },
      ]);
      expect(await store.getGallery('b')).toMatchObject({ referenceCount: 1 });
      await store.deleteReference('a', 'ann', 'r1');
      expect(await add('b', 'r2')).toMatchObject([{ status: 'added' }]);
    } finally {
      await store.close();
    }
  });

  it('counts metadata of galleries, subjects and references', async () => {
    const maxBytes = 1024 ** 2;
    const store = new MemoryStore({ threadCount: 1, precision, maxBytes });
    const metadata = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`key${i}`, 'x'.repeat(1000)]));
    const full = { code: 'GALLERY_FULL', details: { maxBytes } };
    try {
      await store.createGallery(newGallery({ id: 'a' }));
      const random = unitVectors(1, newGallery().dimensions);
      let count = 0;
      const fill = async () => {
        for (; ; count++) await store.putSubject('a', `subject-${count}`, metadata);
      };
      await expect(fill()).rejects.toMatchObject(full);
      expect(count).toBeGreaterThan(5);
      expect(count).toBeLessThan(1024 / 32);
      await expect(store.updateGallery('a', { metadata })).rejects.toMatchObject(full);
      await expect(store.createGallery(newGallery({ id: 'b', metadata }))).rejects.toMatchObject(full);
      const large = newReference('ann', 'r1', random(), { metadata });
      expect(await store.addReferences('a', [large])).toMatchObject([full]);
      expect(await store.getGallery('a')).toMatchObject({
        subjectCount: count,
        referenceCount: 0,
        metadata: {},
      });
      // Removals free memory; replacing an entry with an equal one needs none.
      await store.putSubject('a', 'subject-0', metadata);
      await store.putSubject('a', 'subject-0', {});
      expect(await store.addReferences('a', [large])).toMatchObject([{ status: 'added' }]);
      await store.deleteGallery('a');
      await store.createGallery(newGallery({ id: 'b', metadata }));
    } finally {
      await store.close();
    }
  });

  it('refuses what the heap has no room for, however much memory there is', async () => {
    const store = new MemoryStore({ threadCount: 1, precision, maxBytes: 1e12, maxHeapBytes: 20_000 });
    try {
      await store.createGallery(newGallery({ id: 'a' }));
      const random = unitVectors(1, newGallery().dimensions);
      const references = Array.from({ length: 20 }, (_, i) => newReference(`s${i}`, `r${i}`, random()));
      const outcomes = await store.addReferences('a', references);
      expect(outcomes[0]).toMatchObject({ status: 'added' });
      expect(outcomes[19]).toMatchObject({ code: 'GALLERY_FULL', details: { maxHeapBytes: 20_000 } });
      await expect(store.createGallery(newGallery({ id: 'b' }))).rejects.toMatchObject({
        code: 'GALLERY_FULL',
      });
      await store.deleteGallery('a');
      await store.createGallery(newGallery({ id: 'b' }));
    } finally {
      await store.close();
    }
  });

  it('makes changes that meet in the order of the calls', async () => {
    const store = new MemoryStore({ threadCount: 1, precision });
    try {
      const answers = await Promise.allSettled([
        store.createGallery(newGallery({ id: 'a' })),
        store.putSubject('a', 'ann', { n: 1 }),
        store.renameSubject('a', 'ann', 'bob', { merge: false }),
        store.putSubject('a', 'ann', { n: 2 }),
        store.deleteGallery('a'),
        store.getGallery('a'),
        store.putSubject('a', 'ann', {}),
        store.createGallery(newGallery({ id: 'a' })),
      ]);
      expect(answers).toMatchObject([
        { value: { id: 'a' } },
        { value: { isNew: true } },
        { value: { id: 'bob', metadata: { n: 1 } } },
        { value: { isNew: true } },
        { value: { subjectCount: 2 } },
        { reason: { code: 'GALLERY_NOT_FOUND' } },
        { reason: { code: 'GALLERY_NOT_FOUND' } },
        { value: { subjectCount: 0 } },
      ]);
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

  it('counts crops in full, until they go', async () => {
    const crop = new Uint8Array(50_000);
    const one = bytesOf({ galleries: 1, subjects: 1, references: 1 }, precision) + crop.length;
    const store = new MemoryStore({ threadCount: 0, precision, maxBytes: one + 20_000 });
    try {
      const random = unitVectors(1, newGallery().dimensions);
      await store.createGallery(newGallery({ id: 'a', keepCrops: true }));
      const add = (id: string) => store.addReferences('a', [newReference('ann', id, random(), { crop })]);
      expect(await add('r1')).toMatchObject([{ status: 'added' }]);
      expect(await add('r2')).toMatchObject([{ code: 'GALLERY_FULL' }]);
      await store.deleteCrops('a', ['ann']);
      expect(await add('r3')).toMatchObject([{ status: 'added' }]);
      await store.deleteReference('a', 'ann', 'r3');
      expect(await add('r4')).toMatchObject([{ status: 'added' }]);
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

/** Memory use of galleries with one-letter ids, subjects named ann, and references. */
function bytesOf(
  counts: { galleries: number; subjects: number; references: number },
  precision: VectorPrecision,
): number {
  const rowBytes = newGallery().dimensions * (precision === 'int8' ? 5 : 4);
  const details = { id: 'ann', metadata: {}, ...NO_RIGHTS };
  return (
    counts.galleries * bytesOfGallery({ id: 'a', metadata: {} }) +
    counts.subjects * bytesOfSubject(details) +
    counts.references * bytesOfReference({ metadata: {} }, { rowBytes, holdsCrops: true }).all
  );
}
