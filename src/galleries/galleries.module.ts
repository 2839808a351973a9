import { Module } from '@nestjs/common';
import { EnrolmentController } from './enrolment.controller';
import { GalleriesController } from './galleries.controller';
import { GalleryAdminController } from './gallery-admin.controller';
import { IdentificationController } from './identification.controller';
import { ReferencesController } from './references.controller';
import { SubjectsController } from './subjects.controller';

@Module({
  controllers: [
    GalleriesController,
    SubjectsController,
    EnrolmentController,
    ReferencesController,
    IdentificationController,
    GalleryAdminController,
  ],
})
export class GalleriesModule {}
