import { type DynamicModule, Module } from '@nestjs/common';
import type { Features } from '../config/features';
import { DEEPFACE_CONTROLLERS, DeepfaceHomeController } from './deepface.controller';
import { DeepfaceService } from './deepface.service';
import { DeepfaceStoreService } from './deepface-store.service';
import { type DeepfaceRoute, hasDeepfaceRoute } from './dialect';
import { DeepfaceModels } from './model-names';

/** The API of DeepFace at the root: see docs/compatibility.md. */
@Module({ providers: [DeepfaceModels, DeepfaceService, DeepfaceStoreService] })
export class DeepfaceModule {
  /** Adds the routes of the enabled features. */
  static forFeatures(features: Features): DynamicModule {
    const routes = Object.keys(DEEPFACE_CONTROLLERS) as DeepfaceRoute[];
    return {
      module: DeepfaceModule,
      controllers: [
        DeepfaceHomeController,
        ...routes
          .filter((route) => hasDeepfaceRoute(route, features))
          .map((route) => DEEPFACE_CONTROLLERS[route]),
      ],
    };
  }
}
