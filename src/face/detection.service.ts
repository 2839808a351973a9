import { Injectable } from '@nestjs/common';
import type { FaceDetection, ImageFaces } from '../pipeline/face.types';
import { detectorOf, type FaceCallOptions, FaceModel } from './face-model';

/** Faces of one image, and the detector that found them. */
export interface Detection extends ImageFaces<FaceDetection> {
  /** `null` where no detector ran. */
  detector: string | null;
}

/**
 * Faces of an image.
 *
 * @publicApi
 */
@Injectable()
export class DetectionService {
  constructor(private readonly model: FaceModel) {}

  /**
   * Finds the selected faces (default: all); an image without a face gives an empty list.
   *
   * @example
   * const { faces } = await detection.detect(photo, { minFaceSize: 40 });
   * // faces[0].box: { x: 212, y: 96, width: 140, height: 181 }, in pixels of the image as its file shows it
   */
  async detect(image: Uint8Array, options: FaceCallOptions = {}): Promise<Detection> {
    const result = await this.model.detect(image, options);
    return { ...result, detector: detectorOf(this.model, options) };
  }
}
