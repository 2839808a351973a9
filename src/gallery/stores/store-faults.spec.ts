import {
  CHANGES,
  CROP_CHANGES,
  everything,
  expectReads,
  fillGalleries,
  withoutTimes,
} from '../../../test/support/gallery-changes';
import { tempFolders } from '../../../test/support/temp-folder';
import { RecordFile } from './durable/record-file';
import { DurableStore } from './durable-store';
import type { GalleryStore } from './gallery-store';
import { VectorIndex } from '../search/vector-index';
import { MemoryStore } from './memory-store';
import { GalleryState } from './state/gallery-state';
import { PagedList } from './state/paged-list';

const tempFolder = tempFolders();
const fault = new Error('injected');
const ALL_CHANGES = { ...CHANGES, ...CROP_CHANGES };

const STORES: Record<string, () => Promise<GalleryStore>> = {
  MemoryStore: async () => new MemoryStore({ threadCount: 0, precision: 'float32' }),
  DurableStore: () => DurableStore.open({ dir: tempFolder(), threadCount: 0, precision: 'float32' }),
};

describe.each(Object.keys(STORES))('a fault in %s', (name) => {
  let store: GalleryStore;
  let before: unknown;

  beforeEach(async () => {
    store = await STORES[name]();
    await fillGalleries(store);
    before = await everything(store);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await store.close();
  });

  it('while a row is reserved changes nothing, and changes go on', async () => {
    jest.spyOn(VectorIndex.prototype, 'take').mockImplementationOnce(() => {
      throw new RangeError('no addresses left');
    });
    await expect(CHANGES.addReferences(store)).rejects.toMatchObject({ code: 'GALLERY_FULL' });
    expect(await everything(store)).toEqual(before);
    expect(store.isStopped).toBe(false);
    expect(await CHANGES.addReferences(store)).toMatchObject([{ status: 'added' }, { status: 'added' }]);
  });

  it.each(Object.keys(ALL_CHANGES))('while %s is applied stops changes, and reads go on', async (kind) => {
    jest.spyOn(PagedList.prototype, 'set').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'delete').mockImplementation(() => {
      throw fault;
    });
    await expect(ALL_CHANGES[kind](store)).rejects.toMatchObject({
      code: 'GALLERY_STORE_STOPPED',
      cause: fault,
    });
    expect(store.isStopped).toBe(true);
    jest.restoreAllMocks();
    for (const change of Object.values(ALL_CHANGES))
      await expect(change(store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
    await expectReads(store);
  });

  it.each(['putSubject', 'rename', 'merge', 'addReferences', 'updateReference'])(
    'while %s is answered stops changes, and it is made',
    async (kind) => {
      for (const method of ['getSubject', 'getReference', 'toAdded'] as const)
        jest.spyOn(GalleryState.prototype, method).mockImplementation(() => {
          throw fault;
        });
      await expect(ALL_CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
      jest.restoreAllMocks();
      expect(await everything(store)).not.toEqual(before);
      expect(store.isStopped).toBe(true);
    },
  );
});

describe('a fault of the disk', () => {
  let dir: string;
  let store: DurableStore;
  const open = () => DurableStore.open({ dir, threadCount: 0, precision: 'float32' });

  beforeEach(async () => {
    dir = tempFolder();
    store = await open();
    await fillGalleries(store);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await store.close();
  });

  it.each(Object.keys(ALL_CHANGES))(
    'while %s is written changes nothing, here and after a restart',
    async (kind) => {
      const before = await everything(store);
      jest.spyOn(RecordFile.prototype, 'commit').mockRejectedValueOnce(fault);
      await expect(ALL_CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
      expect(await everything(store)).toEqual(before);
      expect(store.isStopped).toBe(false);
      await store.close();
      store = await open();
      expect(await everything(store)).toEqual(before);
      // Its reservations are free again.
      await ALL_CHANGES[kind](store);
      const after = await everything(store);
      await store.close();
      store = await open();
      expect(await everything(store)).toEqual(after);
    },
  );

  it.each(Object.keys(ALL_CHANGES))('before %s is applied: it is there after a restart', async (kind) => {
    jest.spyOn(GalleryState.prototype, 'apply').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'set').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'delete').mockImplementation(() => {
      throw fault;
    });
    await expect(ALL_CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
    jest.restoreAllMocks();
    await store.close();
    store = await open();
    expect(store.isStopped).toBe(false);
    const restored = await everything(store);
    const twin = new MemoryStore({ threadCount: 0, precision: 'float32' });
    await fillGalleries(twin);
    await ALL_CHANGES[kind](twin);
    expect(withoutTimes(restored)).toEqual(withoutTimes(await everything(twin)));
    await twin.close();
  });
});
