import { Injectable } from '@nestjs/common';
import type { AnalyzedFace, ImageFaces } from '../pipeline/face.types';
import { type AnalyzeCallOptions, detectorOf, FaceModel } from './face-model';
import { assertPresented } from './presentation-attack';

/** Faces of one image with estimated attributes, and the detector that found them. */
export interface Analysis extends ImageFaces<AnalyzedFace> {
  /** `null` where no detector ran. */
  detector: string | null;
}

/**
 * Age, gender, expression and race of the faces of an image, as far as models are loaded.
 *
 * @publicApi
 */
@Injectable()
export class AnalysisService {
  constructor(private readonly model: FaceModel) {}

  /**
   * Analyzes the selected faces (default: all); an image without a face gives an empty list.
   *
   * @throws {FaceError} PRESENTATION_ATTACK_SUSPECTED under `presentationAttack: 'require'`; all that
   * {@link FaceModel.analyze} throws.
   *
   * @example
   * const { faces } = await analysis.analyze(photo, { attributes: ['age', 'expression'] });
   * // faces[0].age: 34.2, faces[0].expression: 'happy'
   */
  async analyze(image: Uint8Array, options: AnalyzeCallOptions = {}): Promise<Analysis> {
    const { presentationAttack = this.model.presentationAttack } = options;
    const result = await this.model.analyze(image, { ...options, presentationAttack });
    assertPresented(result.faces, presentationAttack);
    return { ...result, detector: detectorOf(this.model, options) };
  }
}
