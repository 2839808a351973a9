import { Module } from '@nestjs/common';
import { Draining } from './draining';
import { HealthPort } from './health-port';
import { HealthController } from './health.controller';
import { Readiness } from './readiness';

@Module({ controllers: [HealthController], providers: [Draining, HealthPort, Readiness] })
export class HealthModule {}
