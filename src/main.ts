import 'reflect-metadata';
import { ConsoleLogger, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { AppModule } from './app.module';
import { APP_OPTIONS, configureApp } from './app.setup';
import { loadAppConfig } from './config/app.config';
import { FaceError } from './errors';

const KEEP_ALIVE_MS = 65_000;

/*
 * The bytes of images lie outside the heap, yet V8 counts them when it decides to collect it, by what the heap alone may grow:
 * ours is small, and was collected whole every ten photos, which took more time than all else that this thread does. Three times
 * its size is within what V8 chooses itself, up to four; under load the process then has 20 MB more. It is read before each
 * collection, so it may be set now.
 */
setFlagsFromString('--heap-growing-percent=200');

/** Leaves a FaceError to {@link bootstrap}'s caller: Nest would print what ends the boot with its stack trace. */
class BootLogger extends ConsoleLogger {
  override error(message: unknown, ...rest: unknown[]): void {
    if (!(message instanceof FaceError)) super.error(message, ...rest);
  }
}

async function bootstrap(): Promise<void> {
  const { host, port, logLevel, features } = loadAppConfig(process.env);
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forFeatures(features), {
    ...APP_OPTIONS,
    logger: new BootLogger({ logLevels: [logLevel] }),
    // The process is ended below, after one line that says why.
    abortOnError: false,
  });
  configureApp(app);
  // Exit code 0 after a clean end: by default Nest ends itself with the signal once more.
  app.enableShutdownHooks([], { useProcessExit: true });
  const server = app.getHttpServer() as Server;
  // Longer than a load balancer keeps an idle connection (60 s is usual): the one that closes first must not be the server,
  // or a request that is under way then is reset.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await app.listen(port, host);
  const address = server.address() as AddressInfo;
  new Logger('Likeness').log(`ready in ${Math.round(performance.now())} ms on port ${address.port}`);
}

bootstrap().catch((error: unknown) => {
  const line = error instanceof FaceError ? `${error.code}: ${error.message}` : String(error);
  process.stderr.write(`${line}\n`);
  process.exit(1);
});
