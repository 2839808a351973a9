import {
  type ContractStoreOptions,
  galleryStoreContract,
  newGallery,
} from '../../../test/support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../../../test/support/nats-cluster';
import { JetstreamStore, type JetstreamStoreOptions } from './jetstream-store';

const KEY = 'k'.repeat(32);

describe.each([1, 3])('%i servers', (size) => {
  describeWithNats(JetstreamStore.name, () => {
    let cluster: NatsCluster;

    beforeAll(async () => {
      cluster = await NatsCluster.start({ size });
    });
    afterAll(() => cluster?.stop());

    const open = (namespace: string, options: Partial<JetstreamStoreOptions> = {}) =>
      JetstreamStore.open({
        nats: { servers: cluster.servers, namespace, replicas: size, timeoutMs: 5000 },
        key: KEY,
        threadCount: 0,
        precision: 'float32',
        ...options,
      });

    // One stream for all tests: three servers take half a second to elect the leader of a new one.
    const openEmpty = async (options?: ContractStoreOptions) => {
      const store = await open(options ? 'limited' : 'contract', options);
      const { items } = await store.listGalleries({ limit: 100 });
      for (const { id } of items) await store.deleteGallery(id);
      return store;
    };
    galleryStoreContract('JetstreamStore', openEmpty, { keepsCrops: false });

    it('keeps no crops, and says so', async () => {
      const store = await open('crops');
      try {
        const refusal = {
          code: 'PARAMETER_INVALID',
          details: { fields: { keepCrops: expect.any(String) as unknown } },
        };
        await expect(store.createGallery(newGallery({ keepCrops: true }))).rejects.toMatchObject(refusal);
        await store.createGallery(newGallery());
        await expect(store.updateGallery('staff', { keepCrops: true })).rejects.toMatchObject(refusal);
        await expect(store.replaceGallery()).rejects.toMatchObject(refusal);
        expect(await store.getGallery('staff')).toMatchObject({ keepCrops: false });
      } finally {
        await store.close();
      }
    });
  });
});
