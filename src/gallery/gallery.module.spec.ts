import { Global, type INestApplicationContext, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaceModel } from '../face/face-model';
import { FakeFaceModel } from '../testing';
import { GalleryModule } from './gallery.module';
import type { GalleryModuleOptions } from './gallery.options';
import { GalleryService } from './gallery.service';
import { GalleryStore } from './stores/gallery-store';
import { MemoryStore } from './stores/memory-store';

@Global()
@Module({ providers: [{ provide: FaceModel, useClass: FakeFaceModel }], exports: [FaceModel] })
class FakeFaceModule {}

describe(GalleryModule.name, () => {
  let app: INestApplicationContext | undefined;

  const boot = async (options?: GalleryModuleOptions) => {
    const moduleRef = await Test.createTestingModule({
      imports: [FakeFaceModule, GalleryModule.forRoot(options)],
    }).compile();
    app = await moduleRef.init();
    return app;
  };
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  it('has a store in memory, the service, and a gallery to begin with', async () => {
    const context = await boot();
    expect(context.get(GalleryStore)).toBeInstanceOf(MemoryStore);
    expect(await context.get(GalleryStore).getGallery('default')).toMatchObject({
      contract: 'fake00000000',
      capacity: 100_000,
      enrollmentGate: 'standard',
    });
    expect(await context.get(GalleryService).createGallery({ id: 'other' })).toMatchObject({ id: 'other' });
  });

  it('hands its options on: settings of galleries, and the callback of searches', async () => {
    const onSearch = jest.fn();
    const context = await boot({ defaultGallery: { capacity: 5 }, onSearch });
    expect((await context.get(GalleryStore).getGallery('default')).capacity).toBe(5);
    const embedding = Array.from({ length: 512 }, () => 1);
    await context.get(GalleryService).identify('default', { embedding, contract: 'fake00000000' });
    expect(onSearch).toHaveBeenCalledTimes(1);
  });

  it('says what it scans with', async () => {
    const onNotice = jest.fn();
    const context = await boot({ scanThreads: 3, precision: 'int8', maxBytes: 64 * 1024 ** 2, onNotice });
    expect(onNotice.mock.calls).toEqual([
      [{ level: 'log', message: 'memory store, 3 scan threads, int8, at most 64 MiB' }],
    ]);
    await context.close();
    await boot({ onNotice });
    expect(onNotice.mock.lastCall?.[0].message).toMatch(
      /^memory store, [1-4] scan threads, float32, at most [1-9]\d* MiB$/,
    );
  });

  it('takes a store of the caller, and closes it with the application', async () => {
    const store = new MemoryStore({ threadCount: 1, precision: 'float32' });
    const close = jest.spyOn(store, 'close');
    const context = await boot({ store });
    expect(context.get(GalleryStore)).toBe(store);
    expect(close).not.toHaveBeenCalled();
    await context.close();
    expect(close).toHaveBeenCalledTimes(1);
    app = undefined;
  });

  it('finds again what a durable store has kept, under its key', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'gallery-'));
    const options = { store: 'durable', dir, key: 'k'.repeat(32) } as const;
    const context = await boot(options);
    const embedding = Array.from({ length: 512 }, () => 1);
    const item = { subjectId: 'ada', input: { embedding, contract: 'fake00000000' } };
    await context.get(GalleryService).enroll('default', [item]);
    await context.close();
    const again = await boot(options);
    expect(await again.get(GalleryStore).getGallery('default')).toMatchObject({ referenceCount: 1 });
    await again.close();
    await expect(boot({ ...options, key: null })).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
    app = undefined;
    await rm(dir, { recursive: true });
  });

  it('does not boot with a store that is unknown, or with defaults that no gallery may have', async () => {
    await expect(boot({ store: 'postgres' as 'memory' })).rejects.toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      message: expect.stringContaining('memory, durable'),
    });
    await expect(boot({ defaultGallery: { capacity: 0 } })).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
    });
  });
});
