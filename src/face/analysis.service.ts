import { Injectable } from '@nestjs/common';
import type { AnalyzedFace, ImageFaces } from '../pipeline/face.types';
import { type FaceCallOptions, FaceModel } from './face-model';

/** Faces of one image with estimated attributes, and the detector that found them. */
export interface Analysis extends ImageFaces<AnalyzedFace> {
  detector: string;
}

/**
 * Age, gender and expression of the faces of an image.
 *
 * @publicApi
 */
@Injectable()
export class AnalysisService {
  constructor(private readonly model: FaceModel) {}

  /** Analyses the selected faces (default: all); an image without a face gives an empty list. */
  async analyze(image: Uint8Array, options: FaceCallOptions = {}): Promise<Analysis> {
    const result = await this.model.analyze(image, options);
    return { ...result, detector: options.detector ?? this.model.defaultDetector };
  }
}
