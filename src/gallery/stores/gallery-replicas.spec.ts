import { Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { newReference } from '../../../test/support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../../../test/support/nats-cluster';
import { unitVectors } from '../../../test/support/random-unit';
import { FaceModel } from '../../face/face-model';
import { FakeFaceModel } from '../../testing';
import { GalleryModule } from '../gallery.module';
import { GalleryService } from '../gallery.service';
import { GalleryStore } from './gallery-store';
import { JetstreamStore } from './jetstream-store';

/** Starts of two replicas on empty storage, in the short form that runs everywhere; BOOTS sets another number. */
const BOOTS = Number(process.env.BOOTS ?? 5);
const GALLERY = 'default';

@Global()
@Module({ providers: [{ provide: FaceModel, useClass: FakeFaceModel }], exports: [FaceModel] })
class FakeFaceModule {}

describeWithNats('replicas of the gallery service', () => {
  let cluster: NatsCluster;
  let count = 0;
  const closings: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });
  afterEach(() => Promise.all(closings.splice(0).map((close) => close())));
  afterAll(() => cluster?.stop());

  const open = async (namespace: string) => {
    const store = await JetstreamStore.open({
      nats: { servers: cluster.servers, namespace, replicas: 1 },
      key: 'k'.repeat(32),
      threadCount: 0,
      precision: 'float32',
    });
    closings.push(() => store.close());
    return store;
  };

  it(
    'start on empty storage at once, and both serve the gallery that one of them made',
    async () => {
      for (let boot = 0; boot < BOOTS; boot++) {
        const namespace = `boot-${boot}`;
        const start = async () => {
          const store = await open(namespace);
          await new GalleryService(new FakeFaceModel(), store).createDefaultGallery();
          return store.getGallery(GALLERY);
        };
        const [one, other] = await Promise.all([start(), start()]);
        expect(one).toEqual(other);
        await Promise.all(closings.splice(0).map((close) => close()));
      }
    },
    10_000 + BOOTS * 2000,
  );

  describe('that cache answers', () => {
    let a: { store: GalleryStore; service: GalleryService };
    let b: JetstreamStore;
    let purge: jest.SpyInstance;
    const next = unitVectors(7, new FakeFaceModel().embedder().dimensions);
    const references = Array.from({ length: 4 }, (_, i) =>
      newReference(`s${i >> 1}`, `r${i}`, next(), { imageHash: `${i}`.repeat(64) }),
    );

    beforeEach(async () => {
      const namespace = `cache-${count++}`;
      const moduleRef = await Test.createTestingModule({
        imports: [FakeFaceModule, GalleryModule.forRoot({ store: await open(namespace) })],
      }).compile();
      const model = moduleRef.get(FaceModel);
      a = { store: moduleRef.get(GalleryStore), service: moduleRef.get(GalleryService) };
      b = await open(namespace);
      await b.addReferences(GALLERY, references);
      await a.store.waitFor(b.revision, 5000);
      purge = jest.spyOn(model, 'purgeCache');
    });

    const seenByA = () => a.store.waitFor(b.revision, 5000);

    it.each<[string, () => Promise<unknown>]>([
      ['a subject', () => b.deleteSubject(GALLERY, 's0')],
      ['a reference', () => b.deleteReference(GALLERY, 's0', 'r0')],
      ['a gallery', () => b.deleteGallery(GALLERY)],
    ])('drop them when another replica deletes %s', async (_what, remove) => {
      await remove();
      expect(await seenByA()).toBe(true);
      expect(purge).toHaveBeenCalledTimes(1);
    });

    it('keep them when others add, change and rename', async () => {
      await b.putSubject(GALLERY, 's0', { department: 'it' });
      await b.updateReference(GALLERY, 's0', 'r1', { camera: 'door' });
      await b.addReferences(GALLERY, [{ ...references[0], id: 'r9', imageHash: null, subjectId: 's9' }]);
      await b.renameSubject(GALLERY, 's0', 's5', { merge: false });
      await b.renameSubject(GALLERY, 's9', 's1', { merge: true });
      expect(await seenByA()).toBe(true);
      expect((await a.store.getGallery(GALLERY)).referenceCount).toBe(5);
      expect(purge).not.toHaveBeenCalled();
    });

    it('drop no more than the image of a reference that they delete themselves', async () => {
      await a.service.deleteReference(GALLERY, 's0', 'r0');
      expect(purge.mock.calls).toEqual([[references[0].imageHash]]);
    });
  });
});
