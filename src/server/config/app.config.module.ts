import { Global, Module } from '@nestjs/common';
import { AppConfig } from './app.config';
import { loadAppConfig } from './load-app-config';

/** Provides the one {@link AppConfig} to every module. */
@Global()
@Module({
  providers: [{ provide: AppConfig, useFactory: () => loadAppConfig(process.env) }],
  exports: [AppConfig],
})
export class AppConfigModule {}
