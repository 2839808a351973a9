import { Global, Module } from '@nestjs/common';
import { AppConfig, loadAppConfig } from './app.config';

/** Provides the one {@link AppConfig} to every module. */
@Global()
@Module({
  providers: [{ provide: AppConfig, useFactory: () => loadAppConfig(process.env) }],
  exports: [AppConfig],
})
export class AppConfigModule {}
