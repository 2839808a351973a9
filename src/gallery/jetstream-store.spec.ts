import { galleryStoreContract, newGallery } from '../../test/support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../../test/support/nats-cluster';
import { JetstreamStore, type JetstreamStoreOptions } from './jetstream-store';

const KEY = 'k'.repeat(32);

describeWithNats(JetstreamStore.name, () => {
  let cluster: NatsCluster;
  let count = 0;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });
  afterAll(() => cluster?.stop());

  const open = (namespace: string, options: Partial<JetstreamStoreOptions> = {}) =>
    JetstreamStore.open({
      nats: { servers: cluster.servers, namespace, replicas: 1, timeoutMs: 5000 },
      key: KEY,
      threadCount: 0,
      precision: 'float32',
      ...options,
    });

  galleryStoreContract('JetstreamStore', (options) => open(`contract-${count++}`, options), {
    keepsCrops: false,
  });

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
