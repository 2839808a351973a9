import { FaceError } from '../errors';
import { assertEmbedding, type NormedEmbedding } from '../pipeline/embed/compare-embeddings';
import type { FaceDetection, PixelQuality, RepresentedFace, StageTimings } from '../pipeline/face.types';
import type { EmbedderInfo, FaceModel, RepresentCallOptions } from './face-model';
import { assertFace } from './no-face';
import { assertPresented } from './presentation-attack';

/** An embedding made earlier, standing in for an image. */
export interface EmbeddingInput {
  /** D numbers, any length above zero; unit length as {@link FaceModel.represent} returns it. */
  embedding: ArrayLike<number>;
  /** The contract it was made under. */
  contract: string;
  /** Length of the raw vector; needed by metric `euclidean` where the embedding is a unit vector. @defaultValue 1 */
  embeddingNorm?: number;
}

/** One side of a verification: an encoded image or an embedding. */
export type VerificationInput = Uint8Array | EmbeddingInput;

/** Of an image as its file shows it (EXIF applied), in pixels. */
export interface ImageSize {
  imageWidth: number;
  imageHeight: number;
}

/** An image whose faces were compared. */
export interface ComparedImage extends ImageSize {
  /** Degrees clockwise, 0, 90, 180 or 270, by which it was turned to find its faces upright. */
  rotation: number;
}

/** A face of an image, or an embedding in its place. */
export interface InputFace extends NormedEmbedding {
  /** `null` where an embedding came in. */
  detection: FaceDetection | null;
  /** `null` where an embedding came in, or quality was not asked for. */
  quality: PixelQuality | null;
  /** See {@link RepresentedFace.crop}; `null` where an embedding came in, or it was not asked for. */
  crop: Uint8Array | null;
}

/** What an input was made into: one face or more. */
export interface RepresentedInput {
  faces: InputFace[];
  /** Faces found, before selection; 1 where an embedding came in. */
  faceCount: number;
  /** No face that is aligned was found, and the whole image was taken in its place (`wholeImage: 'ifNoFace'`). */
  isFaceless: boolean;
  /** `null` where an embedding came in. */
  image: ComparedImage | null;
  /** `null` where an embedding came in. */
  timings: StageTimings | null;
  /** See {@link ImageFaces.imageHash}; `null` where an embedding came in, or it was not asked for. */
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
