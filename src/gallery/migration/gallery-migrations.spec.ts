import { FaceError } from '../../errors';
import type { EmbedderInfo, ModelStatus, RepresentCallOptions } from '../../face/face-model';
import type { ImageFaces, RepresentedFace } from '../../pipeline/face.types';
import { FakeFaceModel } from '../../testing';
import { GalleryMigrations, type MigrationStatus } from './gallery-migrations';
import { GalleryService } from '../gallery.service';
import { EMBEDDING_NORM_KEY } from '../gallery.types';
import { MemoryStore } from '../stores/memory-store';

const NEW = 'new-embedder';
const COPY = `staff.${NEW}`;

/** Has a second embedder, whose embeddings are others. */
class TwoEmbedders extends FakeFaceModel {
  newCalls = 0;
  /** Called before the new embedder works. */
  beforeNew: (image: Uint8Array) => Promise<void> = async () => undefined;

  override embedder(name?: string, align?: boolean): EmbedderInfo {
    if (name !== NEW) return super.embedder(name, align);
    return { ...super.embedder(undefined, align), name, contract: 'fakenew00000' };
  }

  override async represent(
    image: Uint8Array,
    options: RepresentCallOptions = {},
  ): Promise<ImageFaces<RepresentedFace>> {
    if (options.embedder !== NEW) return super.represent(image, options);
    this.newCalls++;
    await this.beforeNew(image);
    const answer = await super.represent(image, { ...options, embedder: undefined });
    const faces = answer.faces.map((face) => ({
      ...face,
      embedding: face.embedding.map((value, i) => (i % 2 ? value : -value)),
      embeddingNorm: 7,
    }));
    return { ...answer, faces };
  }

  override models(): ModelStatus[] {
    const models = super.models();
    const old = models.find(({ task }) => task === 'embed') as ModelStatus;
    return [...models, { ...old, name: NEW, isDefault: false, embedder: this.embedder(NEW) }];
  }
}

describe(GalleryMigrations.name, () => {
  let model: TwoEmbedders;
  let store: MemoryStore;
  let service: GalleryService;
  let migrations: GalleryMigrations;
  let imageCount = 0;

  beforeEach(async () => {
    model = new TwoEmbedders();
    store = new MemoryStore({ threadCount: 0, precision: 'float32' });
    service = new GalleryService(model, store);
    migrations = service.migrations;
    await service.createGallery({ id: 'staff', keepCrops: true, enrollmentGate: 'off' });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await migrations.stop();
    await store.close();
  });

  function photo(person: string): Uint8Array {
    const image = Buffer.from(`image ${++imageCount}`);
    model.addImage(image, { faces: [{ person }] });
    return image;
  }

  /** @returns the id of the reference. */
  async function enroll(subjectId: string, metadata = {}): Promise<string> {
    const [result] = await service.enroll('staff', [{ subjectId, input: photo(subjectId), metadata }]);
    if (result instanceof FaceError) throw result;
    return result.reference.id;
  }

  async function ended(): Promise<MigrationStatus> {
    for (;;) {
      const status = await migrations.status('staff', NEW);
      if (status.state !== 'running') return status;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async function migrate(): Promise<MigrationStatus> {
    await migrations.start('staff', NEW);
    return ended();
  }

  const found = async (galleryId: string, person: string) => {
    const { faces, embedder } = await service.identify(galleryId, photo(person));
    return { embedder, subjects: faces.flatMap(({ candidates }) => candidates.map((one) => one.subjectId)) };
  };

  it('fills a copy that is searched beside the gallery, and takes its place', async () => {
    for (const person of ['ann', 'bob', 'cleo']) await enroll(person);
    expect(await migrate()).toEqual({
      galleryId: 'staff',
      embedder: NEW,
      copyId: COPY,
      state: 'done',
      total: 3,
      done: 3,
      withoutCrop: 0,
      failed: 0,
      error: null,
    });
    expect(await found('staff', 'bob')).toEqual({ embedder: 'fake-embedder', subjects: ['bob'] });
    expect(await found(COPY, 'bob')).toEqual({ embedder: NEW, subjects: ['bob'] });
    const gallery = await service.switchMigration('staff', NEW, { dropMissing: false });
    expect(gallery).toMatchObject({ id: 'staff', contract: 'fakenew00000', copyOf: null, referenceCount: 3 });
    expect(await found('staff', 'bob')).toEqual({ embedder: NEW, subjects: ['bob'] });
    await expect(store.getGallery(COPY)).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    // It can be moved again: its crops have come along.
    const [{ id }] = await store.listReferences('staff', 'ann');
    expect(await store.getCrop('staff', 'ann', id)).not.toBeNull();
  });

  it('carries over what is known of subjects and references', async () => {
    await service.putSubject(
      'staff',
      'ann',
      { team: 'red' },
      { consentRef: 'c', purpose: 'p', expiresAt: 9e12 },
    );
    await service.updateGallery('staff', { sinceLastMatchSeconds: 1000, threshold: 0.2, targetFpir: 0.01 });
    const id = await enroll('ann', { [EMBEDDING_NORM_KEY]: 3, a: 1 });
    await service.updateReference('staff', 'ann', id, { expiresAt: 8e12 });
    await store.recordMatches('staff', ['ann'], 5000);
    const [subject, reference, source] = await Promise.all([
      store.getSubject('staff', 'ann'),
      store.getReference('staff', 'ann', id),
      store.getGallery('staff'),
    ]);
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
    await migrate();
    expect(await store.getSubject(COPY, 'ann')).toEqual({ ...subject, updatedAt: expect.any(Number) });
    expect(await store.getReference(COPY, 'ann', id)).toEqual({
      ...reference,
      metadata: { [EMBEDDING_NORM_KEY]: 7, a: 1 },
      embedding: expect.any(Float32Array),
    });
    // A distance of one embedder means nothing to another; rates do.
    const { matchesSince } = source;
    const kept = { threshold: null, targetFpir: 0.01, sinceLastMatchSeconds: 1000, matchesSince };
    expect(await store.getGallery(COPY)).toMatchObject({ ...kept, keepCrops: true, copyOf: 'staff' });
  });

  it('goes on where it ended, and follows what has changed', async () => {
    const ids = { ann: await enroll('ann'), bob: await enroll('bob'), cleo: await enroll('cleo') };
    await migrate();
    expect(model.newCalls).toBe(3);
    await enroll('dan');
    await service.putSubject('staff', 'ann', { team: 'blue' });
    await service.updateReference('staff', 'bob', ids.bob, { metadata: { a: 2 } });
    await service.renameSubject('staff', 'cleo', 'clea', { merge: false });
    // Nothing is left under the old id, not even until the next run.
    await expect(store.getSubject(COPY, 'cleo')).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
    const restarted = new GalleryService(model, store);
    migrations = restarted.migrations;
    expect(await migrations.status('staff', NEW)).toMatchObject({ state: 'idle' });
    expect(await migrate()).toMatchObject({ state: 'done', total: 4, done: 4 });
    expect(model.newCalls).toBe(5);
    expect(await store.getSubject(COPY, 'ann')).toMatchObject({ metadata: { team: 'blue' } });
    expect(await store.getReference(COPY, 'bob', ids.bob)).toMatchObject({ metadata: { a: 2 } });
    expect(await store.getReference(COPY, 'clea', ids.cleo)).toMatchObject({ id: ids.cleo });
  });

  it('lets what is deleted from the gallery be in no copy when the deletion is answered', async () => {
    const ann = await enroll('ann');
    await enroll('ann');
    await enroll('bob');
    await migrate();
    await service.deleteReference('staff', 'ann', ann);
    await expect(store.getReference(COPY, 'ann', ann)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await service.deleteSubject('staff', 'bob');
    await expect(store.getSubject(COPY, 'bob')).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
    await service.updateGallery('staff', { keepCrops: false, maxAgeSeconds: 60 });
    const [{ id }] = await store.listReferences(COPY, 'ann');
    expect(await store.getCrop(COPY, 'ann', id)).toBeNull();
    expect(await store.getGallery(COPY)).toMatchObject({ maxAgeSeconds: 60 });
    await service.deleteGallery('staff');
    expect((await store.listGalleries({ limit: 9 })).items).toEqual([]);
  });

  it('does not bring back what is deleted while it is embedded', async () => {
    await enroll('ann');
    model.beforeNew = async () => void (await service.deleteSubject('staff', 'ann'));
    await migrate();
    expect(await store.getGallery(COPY)).toMatchObject({ subjectCount: 0, referenceCount: 0 });
  });

  it('tells who must be enrolled again, and gives up nobody unless it is told to', async () => {
    await service.updateGallery('staff', { keepCrops: false });
    for (const person of ['ann', 'bob', 'cleo']) await enroll(person);
    await service.updateGallery('staff', { keepCrops: true });
    await enroll('bob');
    await enroll('dan');
    expect(await migrate()).toMatchObject({ state: 'done', total: 5, done: 2, withoutCrop: 3 });
    const first = await migrations.missing('staff', NEW, { limit: 2 });
    const second = await migrations.missing('staff', NEW, { limit: 2, after: first.next ?? undefined });
    const lacks = (subjectId: string, referenceCount: number) => ({
      subjectId,
      referenceCount,
      missingCount: 1,
      withoutCropCount: 1,
    });
    expect([...first.items, ...second.items]).toEqual([lacks('ann', 1), lacks('bob', 2), lacks('cleo', 1)]);
    await expect(service.switchMigration('staff', NEW, { dropMissing: false })).rejects.toMatchObject({
      code: 'GALLERY_MIGRATING',
      details: { subjectCount: 3, referenceCount: 3 },
    });
    expect(await found('staff', 'ann')).toMatchObject({ subjects: ['ann'] });
    const gallery = await service.switchMigration('staff', NEW, { dropMissing: true });
    // Subjects stay, to be enrolled again.
    expect(gallery).toMatchObject({ subjectCount: 4, referenceCount: 2 });
    expect(await found('staff', 'dan')).toEqual({ embedder: NEW, subjects: ['dan'] });
  });

  it('counts pictures in which no face is found again, and goes on', async () => {
    await enroll('ann');
    await enroll('bob');
    jest.spyOn(model, 'represent').mockImplementationOnce(async () => {
      throw new FaceError('INFERENCE_FAILED', 'no');
    });
    expect(await migrate()).toMatchObject({ state: 'done', done: 1, failed: 1 });
    // Another run tries them again.
    expect(await migrate()).toMatchObject({ state: 'done', done: 2, failed: 0 });
  });

  it('takes in what is enrolled until the switch', async () => {
    await enroll('ann');
    await migrate();
    let late: Promise<unknown> = Promise.resolve();
    model.beforeNew = async () => {
      model.beforeNew = async () => undefined;
      late = enroll('cleo');
      await late;
    };
    await enroll('bob');
    const gallery = await service.switchMigration('staff', NEW, { dropMissing: false });
    await late;
    expect(gallery).toMatchObject({ referenceCount: 3 });
    expect(await found('staff', 'cleo')).toEqual({ embedder: NEW, subjects: ['cleo'] });
  });

  it('answers searches that meet the switch, by the new contract', async () => {
    for (const person of ['ann', 'bob']) await enroll(person);
    await migrate();
    const represent = model.represent.bind(model);
    let isSwitched = false;
    jest.spyOn(model, 'represent').mockImplementation(async (image, options) => {
      const answer = await represent(image, options);
      if (!isSwitched && options?.embedder === 'fake-embedder') {
        isSwitched = true;
        await service.switchMigration('staff', NEW, { dropMissing: false });
      }
      return answer;
    });
    expect(await found('staff', 'bob')).toEqual({ embedder: NEW, subjects: ['bob'] });
    expect(isSwitched).toBe(true);
  });

  it('lets nothing change the copy but the gallery', async () => {
    const id = await enroll('ann');
    await migrate();
    const changes: (() => Promise<unknown>)[] = [
      () => service.enroll(COPY, [{ subjectId: 'bob', input: photo('bob') }]),
      () => service.putSubject(COPY, 'bob', {}),
      () => service.updateSubject(COPY, 'ann', { metadata: {} }),
      () => service.renameSubject(COPY, 'ann', 'bob', { merge: false }),
      () => service.deleteSubject(COPY, 'ann'),
      () => service.updateReference(COPY, 'ann', id, { metadata: {} }),
      () => service.deleteReference(COPY, 'ann', id),
      () => migrations.start(COPY, 'fake-embedder'),
    ];
    for (const change of changes) await expect(change()).rejects.toMatchObject({ code: 'GALLERY_MIGRATING' });
    // To delete it is to give the migration up.
    await service.deleteGallery(COPY);
    await expect(migrations.status('staff', NEW)).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    expect(await found('staff', 'ann')).toMatchObject({ subjects: ['ann'] });
  });

  it('refuses what cannot be begun or ended', async () => {
    await enroll('ann');
    await expect(migrations.start('nobody', NEW)).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    await expect(migrations.start('staff', 'other')).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
    await expect(migrations.start('staff', 'fake-embedder')).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      details: { fields: { embedder: expect.any(String) } },
    });
    await service.createGallery({ id: COPY });
    await expect(migrations.start('staff', NEW)).rejects.toMatchObject({ code: 'GALLERY_EXISTS' });
    await expect(migrations.status('staff', NEW)).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    await service.deleteGallery(COPY);
    await migrate();
    const restarted = new GalleryService(model, store);
    await expect(restarted.switchMigration('staff', NEW, { dropMissing: true })).rejects.toMatchObject({
      code: 'GALLERY_MIGRATING',
      details: { state: 'idle' },
    });
  });

  it('is refused by a store that keeps no crops, as is the setting', async () => {
    jest.spyOn(store, 'keepsCrops', 'get').mockReturnValue(false);
    await expect(migrations.start('staff', NEW)).rejects.toMatchObject({ code: 'PARAMETER_INVALID' });
    await expect(service.updateGallery('staff', { keepCrops: true })).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      details: { fields: { keepCrops: expect.any(String) } },
    });
    await service.enroll('staff', [{ subjectId: 'ann', input: photo('ann') }]);
    expect(await store.listReferences('staff', 'ann')).toMatchObject([{ hasCrop: false }]);
  });

  it('ends with the service, and says so', async () => {
    for (const person of ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay']) await enroll(person);
    let release = () => undefined as void;
    const held = new Promise<void>((resolve) => (release = resolve));
    model.beforeNew = () => held;
    await migrations.start('staff', NEW);
    const stopped = migrations.stop();
    release();
    await stopped;
    expect(await migrations.status('staff', NEW)).toMatchObject({
      state: 'failed',
      error: { code: 'NOT_READY' },
    });
  });
});
