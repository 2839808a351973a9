import { releaseBootSignals } from './server/boot-signals';
import 'reflect-metadata';
import { Logger, ShutdownSignal } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { describeCauses, redact } from './describe-causes';
import { AppModule } from './server/app.module';
import { APP_OPTIONS, configureApp } from './server/app.setup';
import { ApiKeys } from './server/http/auth/api-keys';
import { checkExposure } from './server/http/auth/exposure';
import { readKeyFile } from './server/http/auth/key-file';
import { claimPort } from './server/claim-port';
import { loadAppConfig } from './server/config/load-app-config';
import { FaceError } from './errors';
import { isTerminal, PinoLogger } from './server/logging/pino-logger';
import { ERASE_LINE } from './server/logging/terminal-log';
import { lightenAsyncBind } from './server/light-async-bind';
import { ServiceAdapter } from './server/service-adapter';
import { urlLines } from './server/service-urls';

const KEEP_ALIVE_MS = 65_000;
/** Headers arrive in a few packets; a slower client would occupy a connection. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Timeout of a whole request, for long imports. `BodyReader` aborts slow bodies earlier. */
const REQUEST_TIMEOUT_MS = 300_000;

/*
 * Image bytes are outside the heap, but V8 counts them when it compares the heap with its growth limit. For a small heap like
 * ours, this meant a full collection every ten photos, more time than everything else on this thread. V8 itself allows the
 * heap to grow up to fourfold; threefold costs 20 MB under load. The flag is read before each collection, so it can be set here.
 */
setFlagsFromString('--heap-growing-percent=200');
lightenAsyncBind();

async function bootstrap(): Promise<void> {
  const config = loadAppConfig(process.env);
  const { host, port, healthPort, logLevel, apiKeysFile, features } = config;
  const warning = checkExposure(config);
  // Report an invalid key file before the models are loaded.
  if (apiKeysFile != null) readKeyFile(apiKeysFile);
  await claimPort('PORT', port, host);
  await claimPort('FACE_HEALTH_PORT', healthPort, host);
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.forFeatures(features),
    new ServiceAdapter(),
    {
      ...APP_OPTIONS,
      logger: new PinoLogger(logLevel),
      // The process ends below, after one line with the reason.
      abortOnError: false,
    },
  );
  configureApp(app);
  // With a key file, SIGHUP reloads it.
  if (apiKeysFile != null) process.on('SIGHUP', app.get(ApiKeys).reload);
  const signals = Object.values(ShutdownSignal).filter(
    (signal) => signal !== ShutdownSignal.SIGHUP || apiKeysFile == null,
  );
  // Exit code 0 after a clean shutdown: by default, Nest sends itself the signal again.
  releaseBootSignals();
  app.enableShutdownHooks(signals, { useProcessExit: true });
  const server = app.getHttpServer() as Server;
  // Longer than the usual 60 s of load balancers: if the server closed idle connections first, it could reset a request.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  await app.listen(port, host);
  if (warning != null) new Logger('Keys').warn(warning);
  else if (apiKeysFile == null) new Logger('Keys').log('without API keys, only this machine can connect');
  const { port: openPort } = server.address() as AddressInfo;
  new Logger('Likeness').log(`ready in ${Math.round(performance.now())} ms on port ${openPort}`);
  if (isTerminal()) process.stdout.write(urlLines(host, openPort));
}

bootstrap().catch((error: unknown) => {
  const line = error instanceof FaceError ? `${error.code}: ${error.message}` : redact(String(error));
  const causes = error instanceof Error ? describeCauses(error) : '';
  // Erase a progress message.
  if (isTerminal()) process.stdout.write(ERASE_LINE);
  process.stderr.write(`${line}${causes}\n`);
  process.exit(1);
});
