import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { FaceModuleOptions } from './face.options';

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: FACE_MODULE_OPTIONS,
  OPTIONS_TYPE: FACE_MODULE_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<FaceModuleOptions>({ moduleName: 'Face' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createFaceOptions')
  // Global by default: in Nest 11 two forRoot() calls are two modules, and so would be two copies of the models.
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();
