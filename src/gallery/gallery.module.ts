import {
  type DynamicModule,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { FaceModel } from '../face/face-model';
import { GalleryService } from './gallery.service';
import { GalleryStore } from './stores/gallery-store';
import {
  ConfigurableModuleClass,
  GALLERY_MODULE_OPTIONS,
  type GALLERY_MODULE_OPTIONS_TYPE,
} from './gallery.module-definition';
import type { GalleryModuleOptions } from './gallery.options';
import { openStore } from './stores/open-store';

/** Interval between two purges. */
const PURGE_INTERVAL_MS = 3_600_000;

/**
 * Galleries for a Nest app that has FaceModule: `GalleryModule.forRoot(options)` or `forRootAsync`, once, in the root module.
 *
 * Provides {@link GalleryService} and {@link GalleryStore}, without HTTP and environment variables. The store opens while Nest
 * boots and closes after connections have drained. The gallery `default` exists after boot.
 *
 * @publicApi
 */
@Module({
  providers: [
    { provide: GalleryStore, inject: [GALLERY_MODULE_OPTIONS], useFactory: openStore },
    {
      provide: GalleryService,
      inject: [FaceModel, GalleryStore, GALLERY_MODULE_OPTIONS],
      useFactory: async (model: FaceModel, store: GalleryStore, options: GalleryModuleOptions) => {
        const service = new GalleryService(model, store, options);
        // As the service does after its own deletions: no cached result may outlive the people it shows.
        store.onRemoved = () => model.purgeCache();
        await service.createDefaultGallery();
        return service;
      },
    },
  ],
  exports: [GalleryService, GalleryStore],
})
export class GalleryModule
  extends ConfigurableModuleClass
  implements OnApplicationBootstrap, OnApplicationShutdown
{
  /**
   * Registers the module with these options, and defaults for the others.
   *
   * @example
   * imports: [FaceModule.forRoot(), GalleryModule.forRoot({ store: 'durable', dir: 'data/gallery' })]
   * // With options from another provider:
   * imports: [GalleryModule.forRootAsync({ inject: [Settings], useFactory: ({ gallery }: Settings) => gallery })]
   */
  static override forRoot(options: typeof GALLERY_MODULE_OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  @Inject(GalleryStore) private readonly store!: GalleryStore;
  @Inject(GalleryService) private readonly galleries!: GalleryService;
  @Inject(GALLERY_MODULE_OPTIONS) private readonly options!: GalleryModuleOptions;
  private purgeTimer?: NodeJS.Timeout;
  /** Settles when the last purge is done; never rejects. */
  private purging: Promise<void> = Promise.resolve();

  /** Purges in the background, as searches leave out expired subjects and references anyway. */
  onApplicationBootstrap(): void {
    this.purging = this.purge();
    this.purgeTimer = setInterval(() => {
      this.purging = this.purging.then(() => this.purge());
    }, PURGE_INTERVAL_MS).unref();
  }

  /** Runs after connections have drained, unlike onModuleDestroy. */
  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.purgeTimer);
    await this.purging;
    await this.galleries.migrations.stop();
    await this.galleries.matchesRecorded();
    await this.store.close();
  }

  private async purge(): Promise<void> {
    try {
      const { subjectCount, referenceCount } = await this.galleries.purgeExpired();
      if (subjectCount + referenceCount === 0) return;
      const message = `purged ${subjectCount} expired subjects and ${referenceCount} expired references`;
      this.options.onNotice?.({ level: 'log', message });
    } catch {
      const message =
        'the purge of expired subjects and references failed; the next one starts within the hour';
      this.options.onNotice?.({ level: 'warn', message });
    }
  }
}
