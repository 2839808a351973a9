import {
  type DynamicModule,
  type FactoryProvider,
  Inject,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { AnalysisService } from './analysis.service';
import { DetectionService } from './detection.service';
import { FaceModel } from './face-model';
import {
  ConfigurableModuleClass,
  FACE_MODULE_OPTIONS,
  type FACE_MODULE_OPTIONS_TYPE,
} from './face.module-definition';
import { type FaceModuleOptions, resolveFaceOptions } from './face.options';
import { RepresentationService } from './representation.service';
import { VerificationService } from './verification.service';
import { WorkerFaceModel } from './worker-face-model';

/** Loads every model once. Nest waits for it before any class that injects FaceModel exists, and so before the port opens. */
const faceModelProvider: FactoryProvider<Promise<FaceModel>> = {
  provide: FaceModel,
  inject: [FACE_MODULE_OPTIONS],
  useFactory: (options: FaceModuleOptions) => WorkerFaceModel.load(resolveFaceOptions(options)),
};

const services = [VerificationService, RepresentationService, DetectionService, AnalysisService];

/**
 * Face verification for a Nest app: `FaceModule.forRoot(options)` or `forRootAsync`, once, in the root module.
 *
 * Provides {@link FaceModel} and the four services. Knows no HTTP and reads no environment.
 *
 * @publicApi
 */
@Module({
  providers: [faceModelProvider, ...services],
  exports: [FaceModel, ...services],
})
export class FaceModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  /**
   * Imports the module with these options; absent ones take their defaults.
   *
   * @example
   * imports: [FaceModule.forRoot({ workerCount: 2 })]
   * // With options from another provider:
   * imports: [FaceModule.forRootAsync({ inject: [Settings], useFactory: ({ face }: Settings) => face })]
   */
  static override forRoot(options: typeof FACE_MODULE_OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  @Inject(FaceModel) private readonly model!: FaceModel;

  /** Runs after connections have drained; onModuleDestroy would run before. */
  async onApplicationShutdown(): Promise<void> {
    await this.model.close();
  }
}
