import { FaceError } from '../errors';
import type { EmbedderInfo, FaceModel, RepresentCallOptions } from '../face/face-model';
import { commandToGet } from '../models/model-store';
import type { FaceSelection, PresentationAttackPolicy, WholeImageMode } from '../pipeline/face.types';
import type { GalleryStore } from './stores/gallery-store';
import type { Gallery, Hit, Reference } from './gallery.types';

/** Choices that every call with images takes. */
export interface ImageCallOptions {
  /** Name of a loaded detector. */
  detector?: string;
  /** Overrides the score of the detector's card, [0, 1], inclusive. */
  minDetectionScore?: number;
  /** When the whole image is taken for the one face, see {@link FaceModel}. @defaultValue `'never'` */
  wholeImage?: WholeImageMode;
  /** Whether the other turns of a photo are tried, see {@link FaceModel}. @defaultValue true */
  autoRotate?: boolean;
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
  /** Whether the gallery holds faces that were aligned. */
  align: boolean;
}

/**
 * The loaded embedder to whose contract a gallery is bound.
 *
 * @throws {FaceError} MODEL_NOT_LOADED; where a card has the contract, with `details.embedder` and how to load it.
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

/** How to go on with a gallery after the default embedder has changed. Cards know the contract of aligned faces alone. */
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

/** Hits come to single precision, so distances are told to six decimals: a face is at distance 0 of itself. */
const DECIMALS = 1e6;

/** A distance to the decimals in which distances are told. */
export function roundDistance(distance: number): number {
  return Math.round(distance * DECIMALS) / DECIMALS;
}

/** Cosine distance of a hit, [0, 2]. */
export function distanceOf({ similarity }: Hit): number {
  return Math.min(2, Math.max(0, roundDistance(1 - similarity)));
}

/** What a search must ask for, so that it misses no hit whose {@link distanceOf} is within a threshold. */
export function minSimilarityOf(threshold: number): number {
  return 1 - threshold - 1 / DECIMALS;
}

/** Names a subject in locks. Ids of galleries have no slash. */
export function subjectKey(galleryId: string, subjectId: string): string {
  return `${galleryId}/${subjectId.normalize()}`;
}

/** References of some subjects, without their embeddings, by the id of their subject. */
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
