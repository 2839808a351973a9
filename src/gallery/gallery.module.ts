import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { FaceModel } from '../face/face-model';
import { GalleryService } from './gallery.service';
import { GalleryStore } from './gallery-store';
import {
  ConfigurableModuleClass,
  GALLERY_MODULE_OPTIONS,
  type GALLERY_MODULE_OPTIONS_TYPE,
} from './gallery.module-definition';
import type { GalleryModuleOptions } from './gallery.options';
import { openStore } from './open-store';

/**
 * Galleries for a Nest app that has FaceModule: `GalleryModule.forRoot(options)` or `forRootAsync`, once, in the root module.
 *
 * Provides {@link GalleryService} and {@link GalleryStore}. Knows no HTTP and reads no environment. The store is opened while
 * Nest boots, and closed after connections have drained. A gallery `default` is there after boot.
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
        await service.createDefaultGallery();
        return service;
      },
    },
  ],
  exports: [GalleryService, GalleryStore],
})
export class GalleryModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  /** With the options given, the defaults for the rest. */
  static override forRoot(options: typeof GALLERY_MODULE_OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  @Inject(GalleryStore) private readonly store: GalleryStore;

  /** After connections have drained: onModuleDestroy would run before (style.md T3). */
  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
  }
}
