import { Global, Module } from '@nestjs/common';
import { AppConfig } from '../config/app.config';
import { RequestLog } from '../http/request/request-log';
import { FaceMetrics } from '../metrics/face-metrics';
import { AuditInterceptor } from './audit.interceptor';
import { AuditTrail } from './audit-trail';

/** Request log and audit stream. Global, because readiness depends on the stream. */
@Global()
@Module({
  providers: [
    RequestLog,
    AuditInterceptor,
    {
      provide: AuditTrail,
      inject: [AppConfig, FaceMetrics],
      useFactory: ({ audit }: AppConfig, metrics: FaceMetrics) =>
        AuditTrail.open(audit, (change) => metrics.observeAudit(change)),
    },
  ],
  exports: [AuditTrail],
})
export class AuditModule {}
