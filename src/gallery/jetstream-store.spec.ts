import { galleryStoreContract } from '../../test/support/gallery-store-contract';
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

  galleryStoreContract('JetstreamStore', (options) => open(`contract-${count++}`, options));
});
