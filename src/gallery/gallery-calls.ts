import { FaceError, type FaceErrorCode } from '../errors';
import type { EmbedderInfo, FaceModel, RepresentCallOptions } from '../face/face-model';
import { defaultThreshold } from '../face/verification.service';
import type { FaceSelection, PresentationAttackPolicy, WholeImageMode } from '../pipeline/face.types';
import type { Gallery, Hit } from './gallery.types';

/** Choices that every call with images takes. */
export interface ImageCallOptions {
  /** Name of a loaded detector. */
  detector?: string;
  /** Overrides the score of the detector's card, [0, 1], inclusive. */
  minDetectionScore?: number;
  /** When the whole image is taken for the one face, see {@link FaceModel}. @defaultValue `'never'` */
  wholeImage?: WholeImageMode;
  /** What is done about presentation attacks, see {@link FaceModel}. @defaultValue that of the module */
  presentationAttack?: PresentationAttackPolicy;
  /** Drops images that still wait; running work finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to INFERENCE_TIMEOUT, of each image. */
  timeoutMs?: number;
  /** Whose work it is, see {@link FaceModel}. */
  caller?: string;
}

/** What {@link FaceModel.represent} takes of the options of a call, and nothing else of them. */
export function representOptions(
  options: ImageCallOptions & { faceSelection?: FaceSelection; maxFaces?: number },
  { align }: GalleryEmbedder,
): RepresentCallOptions {
  const { detector, minDetectionScore, wholeImage, presentationAttack } = options;
  const { faceSelection, maxFaces, signal, timeoutMs, caller } = options;
  return {
    detector,
    minDetectionScore,
    wholeImage,
    presentationAttack,
    align,
    faceSelection,
    maxFaces,
    signal,
    timeoutMs,
    caller,
  };
}

/** The embedder of a gallery. */
export interface GalleryEmbedder extends EmbedderInfo {
  /** Whether the gallery holds faces that were aligned. */
  align: boolean;
}

/**
 * The loaded embedder to whose contract a gallery is bound.
 *
 * @throws {FaceError} MODEL_NOT_LOADED
 */
export function embedderOf(model: FaceModel, { id, contract }: Gallery): GalleryEmbedder {
  const byDefault = model.embedder();
  if (byDefault.contract === contract) return { ...byDefault, align: true };
  for (const { state, embedder } of model.models()) {
    if (state !== 'loaded' || embedder == null) continue;
    if (embedder.contract === contract) return { ...embedder, align: true };
    const unaligned = model.embedder(embedder.name, false);
    if (unaligned.contract === contract) return { ...unaligned, align: false };
  }
  throw new FaceError(
    'MODEL_NOT_LOADED',
    `Gallery ${id} holds embeddings of contract ${contract}, and no loaded embedder makes such.`,
    { galleryId: id, contract },
  );
}

/** Largest cosine distance that counts: that of the call, else of the gallery, else of the embedder's card. */
export function thresholdOf(gallery: Gallery, embedder: EmbedderInfo, given?: number): number {
  return given ?? gallery.threshold ?? defaultThreshold(embedder, 'cosine');
}

/** Hits come to single precision, so distances are told to six decimals: a face is at distance 0 of itself. */
const DECIMALS = 1e6;

/** A distance to the decimals in which distances are told. */
export function toldDistance(distance: number): number {
  return Math.round(distance * DECIMALS) / DECIMALS;
}

/** Cosine distance of a hit, [0, 2]. */
export function distanceOf({ similarity }: Hit): number {
  return Math.min(2, Math.max(0, toldDistance(1 - similarity)));
}

/** What a search must ask for, so that it misses no hit whose {@link distanceOf} is within a threshold. */
export function minSimilarityOf(threshold: number): number {
  return 1 - threshold - 1 / DECIMALS;
}

export function isFaceError(error: unknown, code: FaceErrorCode): error is FaceError {
  return error instanceof FaceError && error.code === code;
}

/** `null` where the work fails with this code. */
export function orNull<T>(code: FaceErrorCode, work: Promise<T>): Promise<T | null> {
  return work.catch((error: unknown) => {
    if (isFaceError(error, code)) return null;
    throw error;
  });
}
