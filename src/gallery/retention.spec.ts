import { galleryErrors } from './gallery-errors';
import { newGallery, newReference } from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import { MemoryStore } from './memory-store';
import { type PurgeReport, Retention } from './retention';

describe(Retention.name, () => {
  const random = unitVectors(5, 8);
  const probe = random();
  const NOON = 1000;
  let now: number;
  let store: MemoryStore;
  let retention: Retention;
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
    await store.createGallery(newGallery());
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
    (await retention.search('staff', [probe], { limit: 3 }))[0].map(({ referenceId }) => referenceId);

  it('finds all until the moment they expire, and never after it', async () => {
    expect(await found()).toEqual(['ann-1', 'bob-1', 'cleo-1']);
    now = NOON;
    expect(await found()).toEqual(['ann-1', 'bob-2']);
  });

  it('fills the answer with those behind what has expired', async () => {
    now = NOON;
    const [hits] = await retention.search('staff', [probe], { limit: 2 });
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
      (await retention.listReferences('staff', subjectId)).map(({ id }) => id);
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
