import { FaceError } from '../errors';
import type { EmbedderInfo, FaceModel, RepresentCallOptions } from '../face/face-model';
import { commandToGet } from '../models/model-store';
import type { FaceSelection, PresentationAttackPolicy, WholeImageMode } from '../pipeline/face.types';
import type { GalleryStore } from './stores/gallery-store';
import type { Gallery, Hit, Reference } from './gallery.types';

/** Options of every call with images. */
export interface ImageCallOptions {
  /** Name of a loaded detector. */
  detector?: string;
  /** Overrides the score of the detector's card, [0, 1], inclusive. */
  minDetectionScore?: number;
  /** When the whole image counts as the face, see {@link FaceModel}. @defaultValue `'never'` */
  wholeImage?: WholeImageMode;
  /** Whether other rotations of the photo are tried, see {@link FaceModel}. @defaultValue true */
  autoRotate?: boolean;
  /** How to treat presentation attacks, see {@link FaceModel}. @defaultValue that of the module */
  presentationAttack?: PresentationAttackPolicy;
  /** Aborting it drops waiting images; running work finishes without an answer. */
  signal?: AbortSignal;
  /** Milliseconds until INFERENCE_TIMEOUT, per image. */
  timeoutMs?: number;
  /** Caller, for fair queueing, see {@link FaceModel}. */
  caller?: string;
}

/** The options of a call that {@link FaceModel.represent} takes. */
export function representOptions(
  options: ImageCallOptions & { faceSelection?: FaceSelection; maxFaces?: number },
  { align }: GalleryEmbedder,
): RepresentCallOptions {
  const { detector, minDetectionScore, wholeImage, autoRotate, presentationAttack } = options;
  const { faceSelection, maxFaces, signal, timeoutMs, caller } = options;
  return {
    detector,
    minDetectionScore,
    wholeImage,
    autoRotate,
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
  /** Whether the faces of the gallery were aligned. */
  align: boolean;
}

/**
 * The loaded embedder of a gallery's contract.
 *
 * @throws {FaceError} MODEL_NOT_LOADED; if a card has the contract, with `details.embedder` and instructions to load it.
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
  throw notLoaded(model, id, contract);
}

/** Tells how to use a gallery after the default embedder has changed. Cards know only the contract of aligned faces. */
function notLoaded(model: FaceModel, galleryId: string, contract: string): FaceError {
  const embedders = model.models().filter(({ task }) => task === 'embed');
  const maker = embedders.find(({ embedder }) => embedder?.contract === contract);
  const holds = `Gallery ${galleryId} holds embeddings of contract ${contract}`;
  if (maker == null) {
    return new FaceError(
      'MODEL_NOT_LOADED',
      `${holds}, and no loaded embedder has this contract. Load the embedder that made them, or enroll the faces into a new gallery.`,
      { galleryId, contract },
    );
  }
  const others = embedders.filter(({ state, name }) => state === 'loaded' && name !== model.defaultEmbedder);
  const names = [model.defaultEmbedder, ...others.map(({ name }) => name), maker.name].join(',');
  const get = maker.state === 'absent' ? `npx ${commandToGet(maker.name)}, then ` : '';
  return new FaceError(
    'MODEL_NOT_LOADED',
    `${holds}, made by ${maker.name}, which is not loaded. To load it: ${get}restart with FACE_EMBEDDERS=${names}`,
    { galleryId, contract, embedder: maker.name },
  );
}

/** Hits have single precision, so distances are rounded to six decimals: the distance of a face to itself is 0. */
const DECIMALS = 1e6;

/** Rounds a distance to six decimals. */
export function roundDistance(distance: number): number {
  return Math.round(distance * DECIMALS) / DECIMALS;
}

/** Cosine distance of a hit, [0, 2]. */
export function distanceOf({ similarity }: Hit): number {
  return Math.min(2, Math.max(0, roundDistance(1 - similarity)));
}

/** Smallest similarity to search for, so that no hit with a {@link distanceOf} within the threshold is missed. */
export function minSimilarityOf(threshold: number): number {
  return 1 - threshold - 1 / DECIMALS;
}

/** Key of a subject in locks. Gallery ids contain no slash. */
export function subjectKey(galleryId: string, subjectId: string): string {
  return `${galleryId}/${subjectId.normalize()}`;
}

/** References of some subjects, without embeddings, by subject id. */
export async function referencesBySubject(
  store: GalleryStore,
  galleryId: string,
  subjectIds: readonly string[],
): Promise<ReadonlyMap<string, Reference[]>> {
  const bySubject = new Map<string, Reference[]>();
  if (subjectIds.length === 0) return bySubject;
  for (const reference of await store.describeReferences(galleryId, subjectIds)) {
    const others = bySubject.get(reference.subjectId);
    if (others == null) bySubject.set(reference.subjectId, [reference]);
    else others.push(reference);
  }
  return bySubject;
}
