import { Logger, Module } from '@nestjs/common';
import { AdminModule } from './admin/admin.module';
import { AnalysisModule } from './analysis/analysis.module';
import { AuthModule } from './auth/auth.module';
import { AuditModule } from './audit/audit.module';
import { DeepfaceModule } from './compat/deepface/deepface.module';
import { AppConfig } from './config/app.config';
import { AppConfigModule } from './config/app.config.module';
import { DetectionModule } from './detection/detection.module';
import { FaceModule } from './face/face.module';
import { GalleriesModule } from './galleries/galleries.module';
import { GalleryModule } from './gallery/gallery.module';
import { HealthModule } from './health/health.module';
import { BodyModule } from './http/body.module';
import { FaceMetrics } from './metrics/face-metrics';
import { MetricsModule } from './metrics/metrics.module';
import { ModelsModule } from './models/models.module';
import { RepresentationModule } from './representation/representation.module';
import { VerificationModule } from './verification/verification.module';

const logger = new Logger('Models');
const galleryLogger = new Logger('Galleries');

/** The service: settings, the models, and one module per feature. */
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
        onProgress: ({ done, total }) => galleryLogger.log(`read ${done} of ${total} records`),
        onNotice: ({ level, message }) => galleryLogger[level](message),
        onSearch: (event) => metrics.observeSearch(event),
      }),
    }),
    VerificationModule,
    RepresentationModule,
    DetectionModule,
    AnalysisModule,
    GalleriesModule,
    DeepfaceModule,
    ModelsModule,
    HealthModule,
    AdminModule,
    MetricsModule,
  ],
})
export class AppModule {}
