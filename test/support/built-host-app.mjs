/*
 * A host app made as its main.ts would: from the built package, with the models. Prints what it saw as JSON, closes, and ends
 * once no worker is left. Usage: built-host-app.mjs express|fastify
 */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { FaceModel, LikenessServerModule } = require('../../dist/index.js');
const isLight = !Object.keys(require.cache).some((path) => path.includes('swagger'));

class Badges {
  constructor(model) {
    this.model = model;
  }
}
class BadgeModule {}
Module({
  providers: [{ provide: Badges, inject: [FaceModel], useFactory: (model) => new Badges(model) }],
})(BadgeModule);
class HostModule {}
const server = LikenessServerModule.forRoot({
  prefix: '/face',
  keys: false,
  features: ['verify'],
  settings: { FACE_WORKER_COUNT: 1 },
});
Module({ imports: [BadgeModule, server] })(HostModule);

const adapter = process.argv[2] === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(HostModule, adapter, { logger: false });
const origin = 'https://app.example.com';
app.enableCors({ origin });
await app.listen(0, '127.0.0.1');
const url = await app.getUrl();
const statuses = await Promise.all(
  ['/face/health/ready', '/face/docs', '/health/ready'].map(async (path) => (await fetch(url + path)).status),
);
const preflight = async (path) => {
  const headers = { Origin: origin, 'Access-Control-Request-Method': 'POST' };
  return (await fetch(url + path, { method: 'OPTIONS', headers })).headers.get('access-control-allow-origin');
};
const { models } = await (await fetch(`${url}/face/v1/models`)).json();
const model = app.get(FaceModel);
const { workers } = await model.status();
process.stdout.write(
  `${JSON.stringify({
    isLight,
    isSame: app.get(Badges).model === model,
    loads: models.filter(({ state }) => state === 'loaded').map(({ loads }) => loads),
    workers: workers.length,
    answers: statuses,
    origins: [await preflight('/badges'), await preflight('/face/v1/verify')],
    crossSite: (await fetch(`${url}/face/v1/verify`, { method: 'POST', headers: { Origin: origin } })).status,
  })}\n`,
);
await app.close();
