import type { ModelTask } from '../model-store/model-card';
import type {
  AnalyzedFace,
  FaceDetection,
  FaceSelection,
  ImageFaces,
  Metric,
  RepresentedFace,
} from '../pipeline/face.types';

/** Choices of one call. Absent values take the defaults of {@link FaceModuleOptions}. */
export interface FaceCallOptions {
  /** Name of a loaded detector. */
  detector?: string;
  /** Which faces count. @defaultValue `'all'` */
  faceSelection?: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces?: number;
  /** Faces whose shorter box side is under this many pixels are passed over. @defaultValue 0 */
  minFaceSize?: number;
  /** Overrides the score of the detector's card, [0, 1], inclusive. */
  minDetectionScore?: number;
  /** Drops the work where it is still waiting; running work finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to INFERENCE_TIMEOUT, where that is sooner than `requestTimeoutMs` of the module. */
  timeoutMs?: number;
  /** Whose work it is: callers are served in turn, and none may fill the queue alone. */
  caller?: string;
}

/** Choices of one {@link FaceModel.represent} call. */
export interface RepresentCallOptions extends FaceCallOptions {
  /** Name of a loaded embedder. */
  embedder?: string;
}

/** What a caller must know of an embedder to compare its embeddings. */
export interface EmbedderInfo {
  name: string;
  /** Length D of its embeddings. */
  dimensions: number;
  /** Short hash over weights, preprocessing, alignment and normalisation. Embeddings compare only under the same one. */
  contract: string;
  /** Largest distance that still verifies, per metric; a metric without a figure needs one from the caller. */
  maxDistances: Partial<Record<Metric, number>>;
}

/** State of one model, loaded or not. */
export interface ModelStatus {
  name: string;
  title: string;
  task: ModelTask;
  family: string;
  /** `loaded`; `available` (file at hand, not loaded); `absent` (card without a file). */
  state: 'loaded' | 'available' | 'absent';
  /** Sessions made from the file since the boot, all workers together. Stays at its boot value. */
  loads: number;
  /** Milliseconds of the slowest load and warm-up; `null` where it is not loaded. */
  loadMs: number | null;
  /** Resident memory that the load took, all workers together, in bytes; `null` where it is not loaded. */
  memoryBytes: number | null;
  /** sha256 of the file, from the card; `null` where the card pins none. */
  sha256: string | null;
  license: { name: string; commercialUse: boolean; note?: string };
  source: string;
  /** Embedders only. */
  embedder?: EmbedderInfo;
}

/**
 * The loaded models behind one injectable: type and injection token at once.
 *
 * A value of this class is loaded, checked and warmed. No call ever loads a model.
 *
 * @publicApi
 */
export abstract class FaceModel {
  /** Name of the detector used where a call names none. */
  abstract readonly defaultDetector: string;
  /** Name of the embedder used where a call names none. */
  abstract readonly defaultEmbedder: string;

  /**
   * Finds the faces of one image.
   *
   * @param image - encoded image (JPEG, PNG, WebP, GIF, AVIF, TIFF); not changed.
   * @returns faces, largest first; an empty list where there is none.
   * @throws {FaceError} IMAGE_UNSUPPORTED, IMAGE_CORRUPT, IMAGE_TOO_LARGE for the image; FACE_AMBIGUOUS for several
   * faces under `single`; MODEL_UNKNOWN, MODEL_NOT_LOADED for the names; QUEUE_FULL, INFERENCE_TIMEOUT,
   * REQUEST_ABORTED, INFERENCE_FAILED.
   */
  abstract detect(image: Uint8Array, options?: FaceCallOptions): Promise<ImageFaces<FaceDetection>>;

  /** As {@link FaceModel.detect}, with the embedding of every selected face. */
  abstract represent(image: Uint8Array, options?: RepresentCallOptions): Promise<ImageFaces<RepresentedFace>>;

  /** As {@link FaceModel.detect}, with age, gender and expression of every selected face. */
  abstract analyze(image: Uint8Array, options?: FaceCallOptions): Promise<ImageFaces<AnalyzedFace>>;

  /**
   * Facts of a loaded embedder.
   *
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   */
  abstract embedder(name?: string): EmbedderInfo;

  /** Every model with a card, loaded ones first. */
  abstract models(): ModelStatus[];

  /** Whether calls are answered now; the reason where they are not. */
  abstract readiness(): { ready: boolean; reason?: string };

  /** Ends the workers. Waiting calls are refused, running ones finish or hit their deadline. */
  abstract close(): Promise<void>;
}
