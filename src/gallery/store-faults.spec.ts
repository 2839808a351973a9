import { exported, newGallery, newReference } from '../../test/support/gallery-store-contract';
import { hasNats, NatsCluster } from '../../test/support/nats-cluster';
import { unitVectors } from '../../test/support/random-unit';
import { tempFolders } from '../../test/support/temp-folder';
import { RecordFile } from './durable/record-file';
import { DurableStore } from './durable-store';
import type { GalleryStore } from './gallery-store';
import { VectorIndex } from './index/vector-index';
import { JetstreamStore } from './jetstream-store';
import { MemoryStore } from './memory-store';
import { GalleryState } from './state/gallery-state';
import { PagedList } from './state/paged-list';

const tempFolder = tempFolders();
const vectors = Array.from({ length: 5 }, unitVectors(5, 8));
const fault = new Error('injected');

/** Every kind of change, on what {@link fill} made. */
const CHANGES: Record<string, (store: GalleryStore) => Promise<unknown>> = {
  createGallery: (store) => store.createGallery(newGallery({ id: 'new' })),
  updateGallery: (store) => store.updateGallery('staff', { capacity: 7 }),
  deleteGallery: (store) => store.deleteGallery('staff'),
  putNewSubject: (store) => store.putSubject('staff', 'new', { a: 1 }),
  putSubject: (store) => store.putSubject('staff', 'ann', { a: 1 }),
  recordMatches: (store) => store.recordMatches('staff', ['ann', 'bob'], 5),
  rename: (store) => store.renameSubject('staff', 'ann', 'new', { merge: false }),
  merge: (store) => store.renameSubject('staff', 'ann', 'bob', { merge: true }),
  deleteSubject: (store) => store.deleteSubject('staff', 'ann'),
  addReferences: (store) =>
    store.addReferences('staff', [
      newReference('ann', 'n1', vectors[3]),
      newReference('new', 'n2', vectors[4]),
    ]),
  updateReference: (store) => store.updateReference('staff', 'ann', 'r0', { a: 1 }),
  deleteReference: (store) => store.deleteReference('staff', 'ann', 'r0'),
};

const STORES: Record<string, () => Promise<GalleryStore>> = {
  MemoryStore: async () => new MemoryStore({ threadCount: 0, precision: 'float32' }),
  DurableStore: () => DurableStore.open({ dir: tempFolder(), threadCount: 0, precision: 'float32' }),
};

let cluster: NatsCluster | undefined;
let namespaces = 0;
if (hasNats)
  STORES.JetstreamStore = async () => {
    cluster ??= await NatsCluster.start();
    const nats = { servers: cluster.servers, replicas: 1, namespace: `n${namespaces++}` };
    return JetstreamStore.open({ nats, key: 'k'.repeat(32), threadCount: 0, precision: 'float32' });
  };
afterAll(() => cluster?.stop());

async function fill(store: GalleryStore): Promise<void> {
  await store.createGallery(newGallery());
  await store.addReferences(
    'staff',
    ['ann', 'ann', 'bob'].map((subject, i) => newReference(subject, `r${i}`, vectors[i])),
  );
}

async function everything(store: GalleryStore): Promise<unknown> {
  const { items } = await store.listGalleries({ limit: 100 });
  const records = await Promise.all(items.map(({ id }) => exported(store, id)));
  const probe = unitVectors(9, 8)();
  const found = await Promise.all(items.map(({ id }) => store.search(id, [probe], { limit: 10 })));
  return JSON.parse(JSON.stringify({ items, records, found })) as unknown;
}

function withoutTimes(value: unknown): unknown {
  const isTime = (key: string) => key === 'createdAt' || key === 'updatedAt';
  return JSON.parse(JSON.stringify(value, (key, one: unknown) => (isTime(key) ? 0 : one)));
}

describe.each(Object.keys(STORES))('a fault in %s', (name) => {
  let store: GalleryStore;
  let before: unknown;

  beforeEach(async () => {
    store = await STORES[name]();
    await fill(store);
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

  it.each(Object.keys(CHANGES))('while %s is applied stops changes, and reads go on', async (kind) => {
    const applied = jest.spyOn(PagedList.prototype, 'set').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'delete').mockImplementation(() => {
      throw fault;
    });
    await expect(CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED', cause: fault });
    expect(store.isStopped).toBe(true);
    applied.mockRestore();
    for (const change of Object.values(CHANGES))
      await expect(change(store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
    await expect(store.listGalleries({ limit: 10 })).resolves.toBeDefined();
  });

  it.each(['putSubject', 'rename', 'merge', 'addReferences', 'updateReference'])(
    'while %s is answered stops changes, and it is made',
    async (kind) => {
      for (const method of ['getSubject', 'getReference', 'toAdded'] as const)
        jest.spyOn(GalleryState.prototype, method).mockImplementation(() => {
          throw fault;
        });
      await expect(CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
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
    await fill(store);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await store.close();
  });

  it.each(Object.keys(CHANGES))(
    'while %s is written changes nothing, here and after a restart',
    async (kind) => {
      const before = await everything(store);
      jest.spyOn(RecordFile.prototype, 'commit').mockRejectedValueOnce(fault);
      await expect(CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
      expect(await everything(store)).toEqual(before);
      expect(store.isStopped).toBe(false);
      await store.close();
      store = await open();
      expect(await everything(store)).toEqual(before);
      // What it had reserved is free again.
      await CHANGES[kind](store);
      const after = await everything(store);
      await store.close();
      store = await open();
      expect(await everything(store)).toEqual(after);
    },
  );

  it.each(Object.keys(CHANGES))('before %s is applied: it is there after a restart', async (kind) => {
    jest.spyOn(GalleryState.prototype, 'apply').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'set').mockImplementation(() => {
      throw fault;
    });
    jest.spyOn(PagedList.prototype, 'delete').mockImplementation(() => {
      throw fault;
    });
    await expect(CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
    jest.restoreAllMocks();
    await store.close();
    store = await open();
    expect(store.isStopped).toBe(false);
    const restored = await everything(store);
    const twin = new MemoryStore({ threadCount: 0, precision: 'float32' });
    await fill(twin);
    await CHANGES[kind](twin);
    expect(withoutTimes(restored)).toEqual(withoutTimes(await everything(twin)));
    await twin.close();
  });
});
