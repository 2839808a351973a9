import { Global, Module } from '@nestjs/common';
import { FaceMetrics } from './face-metrics';
import { MetricsController } from './metrics.controller';

/** Global: the options of FaceModule need {@link FaceMetrics}, and its route is to come after those that clients call. */
@Global()
@Module({ controllers: [MetricsController], providers: [FaceMetrics], exports: [FaceMetrics] })
export class MetricsModule {}
