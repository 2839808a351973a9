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
import { MetricsModule } from './metrics/metrics.module';
import { ModelsModule } from './models/models.module';
import { RepresentationModule } from './representation/representation.module';
import { VerificationModule } from './verification/verification.module';

const logger = new Logger('Models');
const galleryLogger = new Logger('Galleries');

/** Root module with settings and models; {@link AppModule.forFeatures} adds a module per feature. */
@Module({
  imports: [
    AppConfigModule,
    AuthModule,
    AuditModule,
    BodyModule,
    FaceModule.forRootAsync({
      inject: [AppConfig, FaceMetrics],
      useFactory: ({ face }: AppConfig, metrics: FaceMetrics) => ({
        ...face,
        onProgress: ({ stage, model, done, total }) => logger.log(`${stage} ${model} (${done} of ${total})`),
        onNotice: ({ level, message }) => logger[level](message),
        onImage: (event) => metrics.observeImage(event),
      }),
    }),
    GalleryModule.forRootAsync({
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
  ],
})
export class AppModule {
  /** Adds the routes of these features to those that are always on. */
  static forFeatures(features: Features): DynamicModule {
    return {
      module: AppModule,
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
