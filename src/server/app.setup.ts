import type { NestApplicationOptions } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Server } from 'node:http';
import { AuditInterceptor } from './audit/audit.interceptor';
import { AuditTrail } from './audit/audit-trail';
import { ApiKeys } from './http/auth/api-keys';
import { hasApiKeys } from './http/auth/access';
import { authenticate } from './http/auth/authenticate';
import { HideDistancesInterceptor } from './http/auth/hide-distances.interceptor';
import { deepfaceDialect } from './deepface/dialect';
import { AppConfig } from './config/app.config';
import { serveConsole } from './console/console';
import { Draining } from './health/draining';
import {
  answerHeaders,
  corsOptions,
  pageHeaders,
  refuseOtherHosts,
  refuseOtherOrigins,
} from './http/request/browsers';
import { takeTurns } from './http/request/take-turns';
import { AllErrorsFilter } from './http/errors/all-errors.filter';
import { serveDocumentation } from './http/openapi/documentation-page';
import { limitRequests } from './http/request/rate-limit';
import { requestId } from './http/request/request-id';
import { RequestLog } from './http/request/request-log';
import { createValidationPipe } from './http/request/validation';
import { capConnections } from './http/request/connection-cap';
import { FaceMetrics } from './metrics/face-metrics';
import { measureHttp } from './metrics/measure-http';

/** Options that {@link configureApp} relies on: routes read their own bodies, after their guards (`BodyReader`). */
export const APP_OPTIONS = { bodyParser: false } as const satisfies NestApplicationOptions;

/**
 * Configures everything around the controllers.
 *
 * @param prefix - path under which another app serves it; empty: the service itself, at the root.
 */
export function configureApp(app: NestExpressApplication, prefix = ''): void {
  const config = app.get(AppConfig);
  app.disable('x-powered-by');
  // Would hash every response with embeddings, for a header that clients ignore on a POST.
  app.disable('etag');
  app.set('trust proxy', config.trustProxy);
  app.use(requestId);
  const [metrics, log, trail] = [app.get(FaceMetrics), app.get(RequestLog), app.get(AuditTrail)];
  app.use(measureHttp((event) => metrics.observeHttp(event), log.observe, trail.observeRefusal));
  app.use(takeTurns);
  app.use(capConnections(app.getHttpServer() as Server));
  app.use(answerHeaders);
  app.use(pageHeaders);
  app.use(refuseOtherHosts(config));
  if (config.corsOrigins.length > 0) app.enableCors(corsOptions(config));
  app.use(refuseOtherOrigins(config));
  app.use(serveConsole(config));
  app.use(deepfaceDialect(config));
  app.use(authenticate(app.get(ApiKeys), config));
  app.use(app.get(Draining).refuseWhileDraining);
  app.use(limitRequests(config));
  // Only where they have something to do: an interceptor costs each request 7 kB of allocations.
  // Hiding is the outer one: the audit stream inside records exact results, also those hidden from the caller.
  if (hasApiKeys(config)) app.useGlobalInterceptors(new HideDistancesInterceptor());
  if (trail.isOn) app.useGlobalInterceptors(app.get(AuditInterceptor));
  app.useGlobalPipes(createValidationPipe());
  app.useGlobalFilters(new AllErrorsFilter());
  serveDocumentation(app, prefix);
}
