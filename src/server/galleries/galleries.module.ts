import { type DynamicModule, Module } from '@nestjs/common';
import type { Features } from '../config/features';
import { EnrollmentController } from './enrollment.controller';
import { GalleriesController } from './galleries.controller';
import { GalleryAdminController } from './gallery-admin.controller';
import { GalleryListing } from './gallery-listing.service';
import { GalleryMigrationController } from './gallery-migration.controller';
import { IdentificationController } from './identification.controller';
import { ErasureReceipts } from '../receipts/erasure-receipts';
import { PurgeController } from './purge.controller';
import { ReferencesController } from './references.controller';
import { SubjectVerificationController } from './subject-verification.controller';
import { SubjectsController } from './subjects.controller';

@Module({})
export class GalleriesModule {
  static forFeatures(features: Features): DynamicModule {
    return {
      module: GalleriesModule,
      controllers: [
        GalleriesController,
        SubjectsController,
        EnrollmentController,
        ReferencesController,
        ...(features.has('identify') ? [IdentificationController] : []),
        ...(features.has('verify') ? [SubjectVerificationController] : []),
        GalleryAdminController,
        GalleryMigrationController,
        PurgeController,
      ],
      providers: [ErasureReceipts, GalleryListing],
    };
  }
}
