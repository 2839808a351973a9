import { newGallery, newReference } from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import { galleryErrors } from './gallery-errors';
import type { Gallery } from './gallery.types';
import { LastMatches } from './last-matches';
import { MemoryStore } from './stores/memory-store';

const DAY_MS = 86_400_000;

describe(LastMatches.name, () => {
  const random = unitVectors(5, 8);
  let now: number;
  let made: number;
  let store: MemoryStore;
  let gallery: Gallery;
  let matches: LastMatches;
  let failures: number;

  beforeEach(async () => {
    failures = 0;
    store = new MemoryStore({ threadCount: 0, precision: 'float32' });
    matches = new LastMatches(
      store,
      () => failures++,
      () => now,
    );
    gallery = await store.createGallery(newGallery({ sinceLastMatchSeconds: 3600 }));
    await store.addReferences('staff', [newReference('ann', 'ann-1', random())]);
    ({ createdAt: made } = await store.getSubject('staff', 'ann'));
    now = made;
  });
  afterEach(() => store.close());

  const lastMatch = async () => (await store.getSubject('staff', 'ann')).lastMatchedAt;
  const record = async (...ids: string[]) => {
    matches.record(gallery, ids);
    await matches.settled();
  };

  it('writes a match once a tenth of the limit has passed since the last', async () => {
    now = made + 359_999;
    await record('ann');
    expect(await lastMatch()).toBeNull();
    now = made + 360_000;
    await record('ann');
    expect(await lastMatch()).toBe(made + 360_000);
    now += 359_999;
    await record('ann');
    expect(await lastMatch()).toBe(made + 360_000);
  });

  it('writes a match a day where the limit is long', async () => {
    gallery = await store.updateGallery('staff', { sinceLastMatchSeconds: 365 * 86_400 });
    now = made + DAY_MS - 1;
    await record('ann');
    expect(await lastMatch()).toBeNull();
    now = made + DAY_MS;
    await record('ann');
    expect(await lastMatch()).toBe(made + DAY_MS);
  });

  it('writes nothing where the gallery has no limit', async () => {
    gallery = await store.updateGallery('staff', { sinceLastMatchSeconds: null });
    now = made + 365 * DAY_MS;
    await record('ann');
    expect(await lastMatch()).toBeNull();
  });

  it('writes once for a crowd of searches, and passes over who is gone', async () => {
    const write = jest.spyOn(store, 'recordMatches');
    now = made + DAY_MS;
    for (let i = 0; i < 50; i++) matches.record(gallery, ['ann', 'nobody', 'ann']);
    await matches.settled();
    expect(write.mock.calls).toEqual([['staff', ['ann'], now]]);
  });

  it('tells once that it cannot write, and tries again with the next match', async () => {
    const write = jest.spyOn(store, 'recordMatches');
    write.mockRejectedValue(galleryErrors.storeFailed(new Error('disk full')));
    now = made + DAY_MS;
    await record('ann');
    await record('ann');
    expect(failures).toBe(1);
    write.mockRestore();
    await record('ann');
    expect(await lastMatch()).toBe(now);
  });
});
