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
/** Headers come in one packet or a few: who takes longer holds a connection for nothing. */
const HEADERS_TIMEOUT_MS = 10_000;
/** A whole request: the largest body at the least rate is given up sooner (`BodyReader`), an import may take long. */
const REQUEST_TIMEOUT_MS = 300_000;

/*
 * The bytes of images lie outside the heap, yet V8 counts them when it decides to collect it, by what the heap alone may grow:
 * ours is small, and was collected whole every ten photos, which took more time than all else that this thread does. Three times
 * its size is within what V8 chooses itself, up to four; under load the process then has 20 MB more. It is read before each
 * collection, so it may be set now.
 */
setFlagsFromString('--heap-growing-percent=200');
lightenAsyncBind();

async function bootstrap(): Promise<void> {
  const config = loadAppConfig(process.env);
  const { host, port, healthPort, logLevel, apiKeysFile, features } = config;
  const warning = checkExposure(config);
  // What is wrong with it is said now, and not after the models are loaded.
  if (apiKeysFile != null) readKeyFile(apiKeysFile);
  await claimPort('PORT', port, host);
  await claimPort('FACE_HEALTH_PORT', healthPort, host);
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.forFeatures(features),
    new ServiceAdapter(),
    {
      ...APP_OPTIONS,
      logger: new PinoLogger(logLevel),
      // The process is ended below, after one line that says why.
      abortOnError: false,
    },
  );
  configureApp(app);
  // With a key file, SIGHUP means that it is to be read again.
  if (apiKeysFile != null) process.on('SIGHUP', app.get(ApiKeys).reload);
  const signals = Object.values(ShutdownSignal).filter(
    (signal) => signal !== ShutdownSignal.SIGHUP || apiKeysFile == null,
  );
  // Exit code 0 after a clean end: by default Nest ends itself with the signal once more.
  releaseBootSignals();
  app.enableShutdownHooks(signals, { useProcessExit: true });
  const server = app.getHttpServer() as Server;
  // Longer than a load balancer keeps an idle connection (60 s is usual): the one that closes first must not be the server,
  // or a request that is under way then is reset.
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
  // A message of progress may still be there.
  if (isTerminal()) process.stdout.write(ERASE_LINE);
  process.stderr.write(`${line}${causes}\n`);
  process.exit(1);
});
