import {
  type BeforeApplicationShutdown,
  type ConfigurableModuleAsyncOptions,
  ConfigurableModuleBuilder,
  type DynamicModule,
  Inject,
  Injectable,
  Logger,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef, ModulesContainer, NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { AnalysisService } from '../face/analysis.service';
import { DetectionService } from '../face/detection.service';
import { FaceModel } from '../face/face-model';
import { FaceModule } from '../face/face.module';
import { RepresentationService } from '../face/representation.service';
import { VerificationService } from '../face/verification.service';
import { GalleryService } from '../gallery/gallery.service';
import { GalleryStore } from '../gallery/stores/gallery-store';
import { libraryModules, RoutesModule } from './app.module';
import { APP_OPTIONS, configureApp } from './app.setup';
import { AppConfig } from './config/app.config';
import { Draining } from './health/draining';
import { hasApiKeys } from './http/auth/access';
import type { LikenessServerOptions } from './likeness-server.options';
import { FaceMetrics } from './metrics/face-metrics';
import { invalidOption, mountedConfig, mountedPrefix } from './mounted-config';

/*
 * The server inside another Nest app: a Nest application of its own, on Express, which the host app calls for every request
 * under the prefix before its own middleware. So nothing of either applies to the other: no pipes, guards, filters, body
 * parsers, headers or global prefix. Both share the models and the galleries, which are providers of the host app.
 */

/** What the routes take from the host app. */
const SHARED = [
  AppConfig,
  FaceMetrics,
  FaceModel,
  VerificationService,
  RepresentationService,
  DetectionService,
  AnalysisService,
  GalleryService,
  GalleryStore,
];

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<LikenessServerOptions>()
    .setFactoryMethodName('createLikenessServerOptions')
    .build();

/** Settings and metrics, for the modules of the server alone. */
@Module({
  providers: [
    {
      provide: AppConfig,
      inject: [MODULE_OPTIONS_TOKEN, ModulesContainer],
      useFactory: (options: LikenessServerOptions, modules: ModulesContainer) => {
        assertOneModel(modules);
        return mountedConfig(options);
      },
    },
    FaceMetrics,
  ],
  exports: [AppConfig, FaceMetrics, MODULE_OPTIONS_TOKEN],
})
class MountedSettingsModule extends ConfigurableModuleClass {}

@Module({})
class SharedModule {}

/** Creates the module for a host app. */
export function mountedModule(
  module: Type,
  options: ConfigurableModuleAsyncOptions<LikenessServerOptions, 'createLikenessServerOptions'>,
): DynamicModule {
  const settings = MountedSettingsModule.registerAsync(options);
  return { module, imports: [settings, ...libraryModules([settings])], providers: [MountedServer] };
}

type Next = (error?: unknown) => void;

/** Serves the requests of a host app under the prefix. */
@Injectable()
class MountedServer implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly prefix: string;
  private app?: NestExpressApplication;
  private serve?: RequestListener;

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) { prefix }: LikenessServerOptions,
    private readonly config: AppConfig,
    private readonly host: HttpAdapterHost,
    private readonly moduleRef: ModuleRef,
  ) {
    this.prefix = mountedPrefix(prefix);
    // Before the host app can add any middleware. A test creates its adapter after the providers.
    if (host.httpAdapter != null) host.httpAdapter.use(this.take);
    else host.init$.subscribe(() => host.httpAdapter?.use(this.take));
  }

  async onModuleInit(): Promise<void> {
    // A context without HTTP, as scripts use it.
    if (this.host.httpAdapter == null) return;
    const { config, prefix } = this;
    const app = await newFactory().create<NestExpressApplication>(this.rootModule(), new ExpressAdapter(), {
      ...APP_OPTIONS,
      abortOnError: false,
    });
    this.app = app;
    configureApp(app, prefix);
    await app.init();
    this.serve = app.getHttpAdapter().getInstance() as RequestListener;
    if (!hasApiKeys(config)) {
      new Logger('Keys').warn(
        `Everyone who reaches ${prefix} can verify, enroll, identify and delete: there are no API keys.`,
      );
    }
  }

  /** Fails readiness and waits, as the service does, while the host app still serves. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.app?.get(Draining).beforeApplicationShutdown();
  }

  /** Runs after the host app has answered the last request. */
  async onApplicationShutdown(): Promise<void> {
    await this.app?.close();
  }

  private rootModule(): DynamicModule {
    return {
      module: SharedModule,
      global: true,
      imports: [RoutesModule.forFeatures(this.config.features)],
      providers: SHARED.map((token) => ({
        provide: token,
        useValue: this.moduleRef.get<unknown>(token, { strict: false }),
      })),
      exports: SHARED,
    };
  }

  private readonly take = (request: IncomingMessage, response: ServerResponse, next: Next): void => {
    const { url = '', method = '' } = request;
    const rest = url.startsWith(this.prefix) ? url.slice(this.prefix.length) : null;
    if (rest == null || !/^([/?]|$)/.test(rest) || this.serve == null) return next();
    if (!rest.startsWith('/') && (method === 'GET' || method === 'HEAD')) {
      // Relative, as a proxy can add to the path: the links of the pages under the prefix are relative too.
      response.writeHead(308, { Location: `${this.prefix.split('/').pop()}/${rest}` }).end();
      return;
    }
    request.url = rest.startsWith('/') ? rest : `/${rest}`;
    this.serve(request, response);
  };
}

/** A factory of its own, because NestFactory keeps the options of the last app, here those of the host. */
function newFactory(): typeof NestFactory {
  return new (NestFactory.constructor as new () => typeof NestFactory)();
}

/** @throws {FaceError} FACE_OPTIONS_INVALID for a second FaceModule, which would load every model again. */
function assertOneModel(modules: ModulesContainer): void {
  const count = [...modules.values()].filter(({ metatype }) => metatype === FaceModule).length;
  if (count > 1) {
    throw invalidOption('imports', 'has FaceModule and GalleryModule already: import it once, without them');
  }
}
