import { setTimeout } from 'node:timers/promises';
import { galleryErrors } from './gallery-errors';
import { newGallery, newReference } from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import type { AddedReference, Gallery } from './gallery.types';
import { MemoryStore } from './stores/memory-store';
import { type PurgeReport, Retention } from './retention';

describe(Retention.name, () => {
  const random = unitVectors(5, 8);
  const probe = random();
  const NOON = 1000;
  let now: number;
  let store: MemoryStore;
  let retention: Retention;
  let gallery: Gallery;
  let purged: PurgeReport;

  beforeEach(async () => {
    now = NOON - 1;
    store = new MemoryStore({ threadCount: 0, precision: 'float32' });
    purged = { subjectCount: 0, referenceCount: 0 };
    retention = new Retention(
      store,
      () => now,
      ({ subjectCount, referenceCount }) => {
        purged.subjectCount += subjectCount;
        purged.referenceCount += referenceCount;
      },
    );
    gallery = await store.createGallery(newGallery());
    await store.addReferences('staff', [
      newReference('ann', 'ann-1', probe),
      newReference('bob', 'bob-1', probe, { expiresAt: NOON }),
      newReference('bob', 'bob-2', random()),
      newReference('cleo', 'cleo-1', probe),
    ]);
    await store.putSubject('staff', 'cleo', {}, { expiresAt: NOON });
  });
  afterEach(() => store.close());

  const found = async () =>
    (await retention.search(gallery, [probe], { limit: 3 }))[0].map(({ referenceId }) => referenceId);

  it('finds all until the moment they expire, and never after it', async () => {
    expect(await found()).toEqual(['ann-1', 'bob-1', 'cleo-1']);
    now = NOON;
    expect(await found()).toEqual(['ann-1', 'bob-2']);
  });

  it('fills the answer with those behind what has expired', async () => {
    now = NOON;
    const [hits] = await retention.search(gallery, [probe], { limit: 2 });
    expect(hits.map(({ subjectId }) => subjectId)).toEqual(['ann', 'bob']);
  });

  it('leaves out what has expired where it cannot be removed', async () => {
    now = NOON;
    const failed = () => Promise.reject(galleryErrors.storeFailed(new Error('disk full')));
    jest.spyOn(store, 'deleteSubject').mockImplementation(failed);
    jest.spyOn(store, 'deleteReference').mockImplementation(failed);
    expect(await found()).toEqual(['ann-1']);
  });

  it('lists no reference that has expired, nor any of a subject that has', async () => {
    now = NOON;
    const ids = async (subjectId: string) =>
      (await retention.listReferences(gallery, subjectId)).map(({ id }) => id);
    expect([await ids('ann'), await ids('bob'), await ids('cleo')]).toEqual([['ann-1'], ['bob-2'], []]);
  });

  it('purges what has expired, and tells how much', async () => {
    expect(await retention.purge()).toEqual({ subjectCount: 0, referenceCount: 0 });
    now = NOON;
    expect(await retention.purge()).toEqual({ subjectCount: 1, referenceCount: 1 });
    expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 2 });
    expect(await retention.purge()).toEqual({ subjectCount: 0, referenceCount: 0 });
    expect(purged).toEqual({ subjectCount: 1, referenceCount: 1 });
  });

  describe('in a gallery with an age limit', () => {
    const AGE_MS = 60_000;
    let made: number;

    beforeEach(async () => {
      gallery = await store.createGallery(newGallery({ id: 'guests', maxAgeSeconds: AGE_MS / 1000 }));
      const [added] = await store.addReferences('guests', [newReference('gus', 'gus-1', probe)]);
      made = (added as AddedReference).reference.createdAt;
      // Not in the same millisecond.
      while (Date.now() <= made + 1) await setTimeout(1);
      await store.addReferences('guests', [
        newReference('gus', 'gus-2', random()),
        newReference('hal', 'hal-1', probe),
      ]);
      await store.putSubject('guests', 'ida', {});
    });
    const left = async () => {
      const { items } = await store.listSubjects('guests', { limit: 9 });
      return items.map(({ id, referenceCount }) => [id, referenceCount]);
    };

    it('finds a reference until that age, and never at it', async () => {
      now = made + AGE_MS - 1;
      expect(await found()).toEqual(['gus-1', 'hal-1']);
      now = made + AGE_MS;
      expect((await retention.listReferences(gallery, 'gus')).map(({ id }) => id)).toEqual(['gus-2']);
      expect(await found()).toEqual(['hal-1', 'gus-2']);
    });

    it('purges references of that age, and a subject with its last one', async () => {
      now = made + AGE_MS - 1;
      // Those of the other gallery have expired long ago.
      expect(await retention.purge()).toEqual({ subjectCount: 1, referenceCount: 1 });
      now = made + AGE_MS;
      expect(await retention.purge()).toEqual({ subjectCount: 0, referenceCount: 1 });
      expect(await left()).toEqual([
        ['gus', 1],
        ['hal', 1],
        ['ida', 0],
      ]);
      now = Date.now() + AGE_MS;
      expect(await retention.purge()).toEqual({ subjectCount: 3, referenceCount: 0 });
      expect(await left()).toEqual([]);
    });

    it('keeps all where the limit was taken away', async () => {
      await store.updateGallery('guests', { maxAgeSeconds: null });
      now = made + 10 * AGE_MS;
      await retention.purge();
      expect(await left()).toEqual([
        ['gus', 2],
        ['hal', 1],
        ['ida', 0],
      ]);
    });
  });

  describe('in a gallery that forgets who does not match', () => {
    const LIMIT_MS = 60_000;
    let made: number;

    beforeEach(async () => {
      gallery = await store.createGallery(
        newGallery({ id: 'guests', sinceLastMatchSeconds: LIMIT_MS / 1000 }),
      );
      await store.addReferences('guests', [newReference('gus', 'gus-1', probe)]);
      ({ createdAt: made } = await store.getSubject('guests', 'gus'));
    });

    it.each<[string, () => Promise<unknown>, () => number]>([
      ['it was made', async () => undefined, () => made],
      ['it last matched', () => store.recordMatches('guests', ['gus'], made + 5000), () => made + 5000],
      [
        'times are kept',
        async () => (gallery = await store.updateGallery('guests', { matchesSince: made + 9000 })),
        () => made + 9000,
      ],
    ])('finds a subject for so long after %s, and purges it then', async (_since, prepare, begin) => {
      await prepare();
      now = begin() + LIMIT_MS - 1;
      await retention.purge();
      expect(await found()).toEqual(['gus-1']);
      now = begin() + LIMIT_MS;
      expect(await retention.listReferences(gallery, 'gus')).toEqual([]);
      expect(await retention.purge()).toEqual({ subjectCount: 1, referenceCount: 0 });
      expect(await found()).toEqual([]);
    });
  });

  it('tells what a search has removed as well', async () => {
    now = NOON;
    await found();
    expect(purged).toEqual({ subjectCount: 1, referenceCount: 1 });
  });

  it('purges without reading an embedding, over any number of pages', async () => {
    const subjectIds = Array.from({ length: 250 }, (_, i) => `subject-${i}`);
    await store.addReferences(
      'staff',
      subjectIds.flatMap((id, i) =>
        [NOON, null].map((expiresAt, j) =>
          newReference(id, `${id}-${j}`, probe, { expiresAt: i % 3 === 0 ? expiresAt : null }),
        ),
      ),
    );
    const reads = [jest.spyOn(store, 'listReferences'), jest.spyOn(store, 'getReference')];
    now = NOON;
    expect(await retention.purge()).toEqual({ subjectCount: 1, referenceCount: 84 + 1 });
    for (const read of reads) expect(read).not.toHaveBeenCalled();
  });

  it('counts what it removed before the store failed', async () => {
    now = NOON;
    jest.spyOn(store, 'deleteReference').mockRejectedValue(galleryErrors.storeFailed(new Error('disk full')));
    await expect(retention.purge()).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
    expect(purged).toEqual({ subjectCount: 1, referenceCount: 0 });
  });
});
