import { Module } from '@nestjs/common';
import { Draining } from './draining';
import { HealthPort } from './health-port';
import { HealthController } from './health.controller';

@Module({ controllers: [HealthController], providers: [Draining, HealthPort] })
export class HealthModule {}
