import { type DynamicModule, Module } from '@nestjs/common';
import type { Features } from '../config/features';
import { DistancesController } from './distances.controller';
import { DistancesService } from './distances.service';
import { VerificationController } from './verification.controller';

@Module({})
export class VerificationModule {
  static forFeatures(features: Features): DynamicModule {
    return {
      module: VerificationModule,
      controllers: [
        ...(features.has('verify') ? [VerificationController] : []),
        ...(features.has('embeddings') ? [DistancesController] : []),
      ],
      providers: [DistancesService],
    };
  }
}
