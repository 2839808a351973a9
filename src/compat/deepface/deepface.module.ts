import { Module } from '@nestjs/common';
import { DeepfaceController } from './deepface.controller';
import { DeepfaceService } from './deepface.service';
import { DeepfaceStoreService } from './deepface-store.service';
import { DeepfaceModels } from './model-names';

/** The API of DeepFace at the root: see docs/compatibility.md. */
@Module({
  controllers: [DeepfaceController],
  providers: [DeepfaceModels, DeepfaceService, DeepfaceStoreService],
})
export class DeepfaceModule {}
