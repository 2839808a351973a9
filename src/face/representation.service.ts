import { Injectable } from '@nestjs/common';
import type { ImageFaces, RepresentedFace } from '../pipeline/face.types';
import { detectorOf, type EmbedderInfo, FaceModel, type RepresentCallOptions } from './face-model';
import { assertFace } from './no-face';
import { assertPresented } from './presentation-attack';

/** Faces of one image with their embeddings, and the embedder that made them. */
export interface Representation extends ImageFaces<RepresentedFace> {
  /** `null` where no detector ran. */
  detector: string | null;
  embedder: EmbedderInfo;
}

/**
 * Embeddings of the faces of an image.
 *
 * @publicApi
 */
@Injectable()
export class RepresentationService {
  constructor(private readonly model: FaceModel) {}

  /**
   * Represents every selected face (default: all).
   *
   * @throws {FaceError} FACE_NOT_DETECTED where the image has no aligned face, see {@link assertFace};
   * PRESENTATION_ATTACK_SUSPECTED under `presentationAttack: 'require'` (the default here is `off`, not the policy of the module);
   * the errors of {@link FaceModel.represent}.
   *
   * @example
   * const { faces, embedder } = await representation.represent(photo, { quality: true });
   * // faces[0].embedding: Float32Array(512), of unit length; embedder.contract: the contract to keep beside it
   */
  async represent(image: Uint8Array, options: RepresentCallOptions = {}): Promise<Representation> {
    const embedder = this.model.embedder(options.embedder, options.align);
    const result = await this.model.represent(image, options);
    assertFace(result);
    assertPresented(result.faces, options.presentationAttack ?? 'off');
    return { ...result, detector: detectorOf(this.model, options), embedder };
  }
}
