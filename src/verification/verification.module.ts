import { Module } from '@nestjs/common';
import { DistancesController } from './distances.controller';
import { VerificationController } from './verification.controller';

@Module({ controllers: [VerificationController, DistancesController] })
export class VerificationModule {}
