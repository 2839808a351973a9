import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { AppModule } from '../../src/server/app.module';
import { APP_OPTIONS, configureApp } from '../../src/server/app.setup';
import { AppConfig } from '../../src/server/config/app.config';
import { loadAppConfig } from '../../src/server/config/load-app-config';
import { ServiceAdapter } from '../../src/server/service-adapter';
import { createLikenessClient, type LikenessClient } from '../../src/client';
import { FaceModel } from '../../src/face/face-model';
import { FakeFaceModel } from '../../src/testing';

/** The service without models and workers, configured as main.ts does. */
export interface TestApp {
  app: NestExpressApplication;
  model: FakeFaceModel;
  http: ReturnType<typeof request>;
  /** Without retries; with `ADMIN_KEY`, if that is set. */
  likeness: LikenessClient;
}

export async function createApp(env: NodeJS.ProcessEnv = {}): Promise<TestApp> {
  const model = new FakeFaceModel();
  const config = loadAppConfig(env);
  const moduleRef = await Test.createTestingModule({ imports: [AppModule.forFeatures(config.features)] })
    .overrideProvider(FaceModel)
    .useValue(model)
    .overrideProvider(AppConfig)
    .useValue(config)
    .compile();
  const app = moduleRef.createNestApplication<NestExpressApplication>(new ServiceAdapter(), {
    ...APP_OPTIONS,
    logger: false,
  });
  configureApp(app);
  // One server for all requests of a suite: supertest would open and close one for each.
  await app.listen(0, '127.0.0.1');
  const likeness = createLikenessClient({ baseUrl: await app.getUrl(), apiKey: env.ADMIN_KEY, retries: 0 });
  return { app, model, http: request(app.getHttpServer()), likeness };
}
