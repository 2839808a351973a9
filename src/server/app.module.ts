import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { AdminModule } from './admin/admin.module';
import { AnalysisModule } from './analysis/analysis.module';
import { AuthModule } from './http/auth/auth.module';
import { AuditModule } from './audit/audit.module';
import { DeepfaceModule } from './deepface/deepface.module';
import { AppConfig } from './config/app.config';
import { AppConfigModule } from './config/app.config.module';
import { type Features, hasAnalysis } from './config/features';
import { DetectionModule } from './detection/detection.module';
import { FaceModule } from '../face/face.module';
import { GalleriesModule } from './galleries/galleries.module';
import { GalleryModule } from '../gallery/gallery.module';
import { HealthModule } from './health/health.module';
import { BodyModule } from './http/images/body.module';
import { FaceMetrics } from './metrics/face-metrics';
import { FaceMetricsModule, MetricsModule } from './metrics/metrics.module';
import { ModelsModule } from './models/models.module';
import { RepresentationModule } from './representation/representation.module';
import { VerificationModule } from './verification/verification.module';

const logger = new Logger('Models');
const galleryLogger = new Logger('Galleries');

/**
 * The models and the galleries with the settings of {@link AppConfig}; they report to {@link FaceMetrics}.
 *
 * @param imports - modules that export these two, unless a global module does.
 */
export function libraryModules(imports: DynamicModule[] = []): DynamicModule[] {
  return [
    FaceModule.forRootAsync({
      imports,
      inject: [AppConfig, FaceMetrics],
      useFactory: ({ face }: AppConfig, metrics: FaceMetrics) => ({
        ...face,
        onProgress: ({ stage, model, done, total }) => logger.log(`${stage} ${model} (${done} of ${total})`),
        onNotice: ({ level, message }) => logger[level](message),
        onImage: (event) => metrics.observeImage(event),
      }),
    }),
    GalleryModule.forRootAsync({
      imports,
      inject: [AppConfig, FaceMetrics],
      useFactory: ({ gallery }: AppConfig, metrics: FaceMetrics) => ({
        ...gallery,
        onProgress: ({ stage, done, total }) =>
          galleryLogger.log(`${stage === 'upgrade' ? 'upgraded' : 'read'} ${done} of ${total} records`),
        onNotice: ({ level, message }) => galleryLogger[level](message),
        onSearch: (event) => metrics.observeSearch(event),
        onPurge: (removed) => metrics.observePurge(removed),
      }),
    }),
  ];
}

/**
 * All routes: a module per feature, and those that are always on. Settings, metrics, models and galleries come from global
 * modules.
 */
@Module({ imports: [AuthModule, AuditModule, BodyModule] })
export class RoutesModule {
  /** Adds the routes of these features to those that are always on. */
  static forFeatures(features: Features): DynamicModule {
    return {
      module: RoutesModule,
      imports: [
        VerificationModule.forFeatures(features),
        ...(features.has('embeddings') ? [RepresentationModule] : []),
        ...(features.has('detect') ? [DetectionModule] : []),
        ...(hasAnalysis(features) ? [AnalysisModule] : []),
        ...(features.has('galleries') ? [GalleriesModule.forFeatures(features)] : []),
        ...(features.has('deepface') ? [DeepfaceModule.forFeatures(features)] : []),
        ModelsModule,
        HealthModule,
        AdminModule,
        MetricsModule,
      ],
    };
  }
}

/** Root module of the service, whose settings come from the environment. */
@Module({ imports: [AppConfigModule, FaceMetricsModule, ...libraryModules()] })
export class AppModule {
  /** The service with the routes of these features. */
  static forFeatures(features: Features): DynamicModule {
    return { module: AppModule, imports: [RoutesModule.forFeatures(features)] };
  }
}
