import type { NestApplicationOptions } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { SwaggerModule } from '@nestjs/swagger';
import { deepfaceDialect } from './compat/deepface/dialect';
import { AppConfig } from './config/app.config';
import { Draining } from './health/draining';
import { FaceErrorFilter } from './http/face-error.filter';
import { createOpenApiDocument } from './http/openapi';
import { requestId } from './http/request-id';
import { createValidationPipe } from './http/validation';
import { FaceMetrics } from './metrics/face-metrics';
import { measureHttp } from './metrics/measure-http';

/** Options that {@link configureApp} counts on: bodies are read by the routes that take one, after their guards (`BodyReader`). */
export const APP_OPTIONS = { bodyParser: false } as const satisfies NestApplicationOptions;

/** All that the application does around its controllers; main.ts and the e2e suites share it. */
export function configureApp(app: NestExpressApplication): void {
  const config = app.get(AppConfig);
  app.disable('x-powered-by');
  // Hashing every embedding sent, for a header that no client of a POST looks at.
  app.disable('etag');
  app.use(requestId);
  app.use(measureHttp(app.get(FaceMetrics)));
  app.use(deepfaceDialect(config));
  app.use(app.get(Draining).refuseWhileDraining);
  app.useGlobalPipes(createValidationPipe());
  app.useGlobalFilters(new FaceErrorFilter());
  SwaggerModule.setup('docs', app, createOpenApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Likeness',
    swaggerOptions: { deepLinking: true, tryItOutEnabled: true, defaultModelsExpandDepth: 0 },
  });
}
