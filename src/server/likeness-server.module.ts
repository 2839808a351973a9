import { type ConfigurableModuleAsyncOptions, type DynamicModule, Module } from '@nestjs/common';
import type { LikenessServerOptions } from './likeness-server.options';
import type { mountedModule } from './mounted-server';

/**
 * The whole HTTP API of the service inside another Nest app, on Express or Fastify: REST, the DeepFace API, health, metrics,
 * the console and, at `<prefix>/docs`, Swagger UI. Imported once, in the root module.
 *
 * Contains FaceModule and GalleryModule, so that their services can be injected in the whole app and share the models: the app
 * imports neither.
 *
 * Requests under the prefix are answered before the middleware, guards, pipes and filters of the app, and nothing of the server
 * applies to the other routes. Protect the routes by `keys`.
 *
 * @publicApi
 */
@Module({})
export class LikenessServerModule {
  /**
   * Imports the module with these options.
   *
   * @throws {FaceError} at the start of the app: FACE_OPTIONS_INVALID naming the option or the setting; API_KEYS_INVALID.
   *
   * @example
   * imports: [LikenessServerModule.forRoot({ prefix: '/face', keys: 'keys.json', settings: { FACE_WORKER_COUNT: 2 } })]
   * // POST /face/v1/verify, GET /face/docs
   */
  static forRoot(options: LikenessServerOptions): DynamicModule {
    return this.forRootAsync({ useFactory: () => options });
  }

  /**
   * Imports the module with options from other providers.
   *
   * @example
   * imports: [
   *   LikenessServerModule.forRootAsync({
   *     imports: [ConfigModule],
   *     inject: [ConfigService],
   *     useFactory: (config: ConfigService) => ({ prefix: '/face', keys: config.getOrThrow<string>('FACE_KEYS_FILE') }),
   *   }),
   * ]
   */
  static forRootAsync(
    options: ConfigurableModuleAsyncOptions<LikenessServerOptions, 'createLikenessServerOptions'>,
  ): DynamicModule {
    // Here, because apps that use FaceModule alone need not load the server.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const server = require('./mounted-server') as { mountedModule: typeof mountedModule };
    return server.mountedModule(this, options);
  }
}
