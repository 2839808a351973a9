import { FaceError } from '../errors';
import { assertEmbedding, type NormedEmbedding } from '../pipeline/embed/compare-embeddings';
import type { FaceDetection, PixelQuality, RepresentedFace, StageTimings } from '../pipeline/face.types';
import type { EmbedderInfo, FaceModel, RepresentCallOptions } from './face-model';
import { assertFace } from './no-face';
import { assertPresented } from './presentation-attack';

/** An existing embedding in place of an image. */
export interface EmbeddingInput {
  /** D numbers, any length above zero; unit length as {@link FaceModel.represent} returns it. */
  embedding: ArrayLike<number>;
  /** Its contract. */
  contract: string;
  /** Length of the raw vector; needed by metric `euclidean` where the embedding is a unit vector. @defaultValue 1 */
  embeddingNorm?: number;
}

/** An encoded image or an embedding. */
export type VerificationInput = Uint8Array | EmbeddingInput;

/** Size of the upright image (EXIF applied), in pixels. */
export interface ImageSize {
  imageWidth: number;
  imageHeight: number;
}

/** A compared image. */
export interface ComparedImage extends ImageSize {
  /** Clockwise rotation in degrees, 0, 90, 180 or 270, at which its faces are upright. */
  rotation: number;
}

/** A face of an image, or an embedding in its place. */
export interface InputFace extends NormedEmbedding {
  /** `null` for an embedding. */
  detection: FaceDetection | null;
  /** `null` for an embedding, or if not requested. */
  quality: PixelQuality | null;
  /** See {@link RepresentedFace.crop}; `null` for an embedding, or if not requested. */
  crop: Uint8Array | null;
}

/** The faces of an input, at least one. */
export interface RepresentedInput {
  faces: InputFace[];
  /** Faces found, before selection; 1 for an embedding. */
  faceCount: number;
  /** No aligned face was found, so that the whole image counts as the face (`wholeImage: 'ifNoFace'`). */
  isFaceless: boolean;
  /** `null` for an embedding. */
  image: ComparedImage | null;
  /** `null` for an embedding. */
  timings: StageTimings | null;
  /** See {@link ImageFaces.imageHash}; `null` for an embedding, or if not requested. */
  imageHash: string | null;
}

/**
 * Finds and embeds the faces of an image, or checks an embedding and brings it to unit length.
 *
 * @param options - `faceSelection`: default `best`; read for images only, like all the others.
 * @throws {FaceError} FACE_NOT_DETECTED, PRESENTATION_ATTACK_SUSPECTED and all that {@link FaceModel.represent} throws;
 * EMBEDDING_INVALID and EMBEDDING_CONTRACT_MISMATCH for embeddings.
 */
export async function representInput(
  model: FaceModel,
  input: VerificationInput,
  embedder: EmbedderInfo,
  options: RepresentCallOptions,
): Promise<RepresentedInput> {
  if (!ArrayBuffer.isView(input)) {
    return {
      faces: [embeddingFace(input, embedder)],
      faceCount: 1,
      isFaceless: false,
      image: null,
      timings: null,
      imageHash: null,
    };
  }
  const { presentationAttack = model.presentationAttack } = options;
  const result = await model.represent(input, {
    ...options,
    presentationAttack,
    embedder: embedder.name,
    faceSelection: options.faceSelection ?? 'best',
  });
  assertFace(result);
  const { faces, faceCount, imageWidth, imageHeight, rotation, timings, imageHash = null } = result;
  assertPresented(faces, presentationAttack);
  return {
    faces: faces.map(representedFace),
    faceCount,
    isFaceless: options.wholeImage === 'ifNoFace' && faces[0].landmarks == null,
    image: { imageWidth, imageHeight, rotation },
    timings,
    imageHash,
  };
}

function representedFace({
  embedding,
  embeddingNorm,
  quality,
  crop,
  ...detection
}: RepresentedFace): InputFace {
  return { embedding, norm: embeddingNorm, quality: quality ?? null, crop: crop ?? null, detection };
}

function embeddingFace(input: EmbeddingInput, embedder: EmbedderInfo): InputFace {
  if (input.contract !== embedder.contract) {
    throw new FaceError(
      'EMBEDDING_CONTRACT_MISMATCH',
      `Expected an embedding of contract ${embedder.contract} (${embedder.name}) but received one of another contract.`,
      { expectedContract: embedder.contract },
    );
  }
  const { unit, norm } = assertEmbedding(input.embedding, embedder.dimensions);
  const { embeddingNorm = 1 } = input;
  if (!(embeddingNorm > 0 && embeddingNorm < Infinity)) {
    throw new FaceError('EMBEDDING_INVALID', 'Expected a finite number above 0 for embeddingNorm.');
  }
  return { embedding: unit, norm: norm * embeddingNorm, detection: null, quality: null, crop: null };
}
