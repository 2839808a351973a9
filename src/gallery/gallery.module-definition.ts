import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { GalleryModuleOptions } from './gallery.options';

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: GALLERY_MODULE_OPTIONS,
  OPTIONS_TYPE: GALLERY_MODULE_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<GalleryModuleOptions>({ moduleName: 'Gallery' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createGalleryOptions')
  // Global by default: two forRoot() calls would be two stores.
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();
