import { Global, Module } from '@nestjs/common';
import { FaceMetrics } from './face-metrics';
import { MetricsController } from './metrics.controller';

/** The metrics, global: the options of FaceModule need them. */
@Global()
@Module({ providers: [FaceMetrics], exports: [FaceMetrics] })
export class FaceMetricsModule {}

/** The route of the metrics, which comes after those that clients call. */
@Module({ controllers: [MetricsController] })
export class MetricsModule {}
