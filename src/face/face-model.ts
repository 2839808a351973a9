import type { FaceError } from '../errors';
import type { CardCalibration, ModelTask } from '../models/model-card';
import type {
  AnalyzedFace,
  Attribute,
  FaceDetection,
  FaceSelection,
  ImageFaces,
  Metric,
  PresentationAttackPolicy,
  RepresentedFace,
  WholeImageMode,
} from '../pipeline/face.types';
import type { DecisionDefaults } from './thresholds';

/** Choices of one call. Absent values take the defaults of {@link FaceModuleOptions}. */
export interface FaceCallOptions {
  /** Name of a loaded detector; not read where `wholeImage` is `always`. */
  detector?: string;
  /** Selected faces. @defaultValue `'all'` */
  faceSelection?: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces?: number;
  /** Shortest box side in pixels; smaller faces are left out. @defaultValue 0 */
  minFaceSize?: number;
  /** Overrides the score of the detector's card, [0, 1], inclusive; less than 0.1 counts as 0.1. */
  minDetectionScore?: number;
  /**
   * When the whole image is taken for the one face, without landmarks, at detection score 0: `always` runs no detector,
   * `ifNoFace` is for images in which none is found, or none that is aligned. Sizes and selection do not apply to it. @defaultValue `'never'`
   */
  wholeImage?: WholeImageMode;
  /**
   * Whether a photo is tried in other orientations where its faces do not look upright; false: only the orientation of the
   * file, EXIF applied. @defaultValue true
   */
  autoRotate?: boolean;
  /**
   * Detection of presentation attacks. The model scores the faces unless it is `off`; the services refuse suspected faces
   * under `require`, see `assertPresented`.
   *
   * @defaultValue `'off'` in calls of the model; {@link FaceModel.presentationAttack} in those of the services
   */
  presentationAttack?: PresentationAttackPolicy;
  /** Aborts the call: waiting work is dropped, running work finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to INFERENCE_TIMEOUT, where that is sooner than `requestTimeoutMs` of the module. */
  timeoutMs?: number;
  /** False: the answer is neither taken from the cache nor kept there. @defaultValue true */
  cache?: boolean;
  /** The caller: callers are served in turn, and none may fill the queue alone. */
  caller?: string;
}

/** Choices of one {@link FaceModel.represent} call. */
export interface RepresentCallOptions extends FaceCallOptions {
  /** Name of a loaded embedder. */
  embedder?: string;
  /** Measure sharpness and brightness of every selected face: 1 ms for one of 110 pixels, 10 ms for 670. @defaultValue false */
  quality?: boolean;
  /**
   * Cut every selected face out, see {@link RepresentedFace.crop}: `represent` finds the face in it again, for any embedder. Such
   * an answer is neither taken from the cache nor kept there. @defaultValue false
   */
  crop?: boolean;
  /** Hash the image where it is worked on, see {@link ImageFaces.imageHash}: 0.6 ms a megabyte. @defaultValue false */
  hash?: boolean;
  /**
   * False: the face is cut out by its box, letterboxed onto the embedder's input and not turned. Such embeddings have a
   * contract of their own, see {@link FaceModel.embedder}. @defaultValue true
   */
  align?: boolean;
}

/** Choices of one {@link FaceModel.analyze} call. */
export interface AnalyzeCallOptions extends FaceCallOptions {
  /** Attributes to estimate; no other model runs. @defaultValue all attributes of the loaded models */
  attributes?: readonly Attribute[];
}

/** Facts of an embedder that a comparison of its embeddings needs. */
export interface EmbedderInfo {
  name: string;
  /** Length D of its embeddings. */
  dimensions: number;
  /** Short hash over weights, preprocessing, alignment and normalization. Only embeddings with the same contract can be compared. */
  contract: string;
  /** Default threshold (largest distance that verifies) per metric; without one, the caller must give a threshold. */
  maxDistances: Partial<Record<Metric, number>>;
  /**
   * Similarities by false match rate, from the card; `null` where it has none. Measured on aligned faces: for others the
   * thresholds that follow from it are estimates.
   */
  calibration: CardCalibration | null;
}

/** State of one model, loaded or not. */
export interface ModelStatus {
  name: string;
  title: string;
  task: ModelTask;
  family: string;
  /** `loaded`; `available` (file present, not loaded); `absent` (card without a file). */
  state: 'loaded' | 'available' | 'absent';
  /** True for the model that a call uses when it names none of this task. */
  isDefault: boolean;
  /** Sessions made from the file since the boot, all workers together. No call ever adds to it. */
  loads: number;
  /** Milliseconds of the slowest load and warm-up among the current workers; `null` where it is not loaded. */
  loadMs: number | null;
  /** Private memory for it of all current workers together, in bytes; `null` where it is not loaded. */
  memoryBytes: number | null;
  /** Bytes of weights that all workers map from one file; 0 where each has a copy; `null` where it is not loaded. */
  sharedBytes: number | null;
  /** Runs of the network since the boot. */
  runs: number;
  /** Milliseconds of one run, of the last 256 jobs; `null` where it never ran. */
  runMs: { p50: number; p99: number } | null;
  /** Milliseconds without a call after which it is unloaded; `null`: never. */
  idleTtlMs: number | null;
  /** sha256 of the file, from the card; `null` where the card pins none. */
  sha256: string | null;
  license: { name: string; commercialUse: boolean; note?: string };
  /** Training data of the weights, as published; `null` where the card does not name any. */
  trainingData: string | null;
  source: string;
  /** Embedders only. */
  embedder?: EmbedderInfo;
  /** Attribute models only: the attributes that `analyze` takes from it. Of several models the first configured one serves. */
  attributes?: Attribute[];
}

/** Memory of a process, in bytes. Read from the kernel on Linux; unknown elsewhere. */
export interface ProcessMemory {
  /** Private pages. */
  privateBytes: number;
  /** Pages mapped from files, weights among them: those of one file are the same memory in every process. */
  sharedBytes: number;
}

/** State of the workers, the queue, the cache and the memory. */
export interface EngineStatus {
  workers: {
    pid: number | null;
    /** `retiring`: finishes its job with models that were unloaded, then ends. */
    state: 'starting' | 'idle' | 'busy' | 'retiring';
    /** `null` where it cannot be read. */
    memory: ProcessMemory | null;
  }[];
  /** Workers that ended and were replaced since the boot. */
  workerRestarts: number;
  /** Waiting images and their bytes; images in progress. */
  queue: { length: number; bytes: number; maxLength: number; maxBytes: number; running: number };
  /** `null` without a cache. Counts are since the boot. */
  cache: {
    entries: number;
    bytes: number;
    maxBytes: number;
    hits: number;
    shared: number;
    misses: number;
  } | null;
  /** Estimated memory of models and workers, and the memory budget, in bytes. */
  memory: { reckonedBytes: number; budgetBytes: number };
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
  /** Decision parameters where neither the call nor the gallery sets any. */
  abstract readonly decisionDefaults: Readonly<DecisionDefaults>;
  /** Default policy of the services on presentation attacks. */
  abstract readonly presentationAttack: PresentationAttackPolicy;

  /**
   * Finds the faces of one image.
   *
   * @param image - encoded image (JPEG, PNG, WebP, GIF, AVIF, TIFF); not changed.
   * @returns faces, largest first; an empty list where there is none.
   * @throws {FaceError} IMAGE_UNSUPPORTED, IMAGE_CORRUPT, IMAGE_TOO_LARGE, IMAGE_DECODE_TIMEOUT for the image; FACE_AMBIGUOUS for several
   * faces under `single`; MODEL_UNKNOWN, MODEL_NOT_LOADED for the names; QUEUE_FULL, INFERENCE_TIMEOUT,
   * REQUEST_ABORTED, INFERENCE_FAILED.
   *
   * @example
   * const { faces } = await model.detect(photo, { maxFaces: 1 });
   * // faces[0].detectionScore: 0.998
   */
  abstract detect(image: Uint8Array, options?: FaceCallOptions): Promise<ImageFaces<FaceDetection>>;

  /**
   * As {@link FaceModel.detect}, with the embedding of every selected face. Faces that are not plausibly aligned are not
   * embedded: they are left out and counted in `unalignedCount`.
   *
   * @example
   * const { faces, unalignedCount } = await model.represent(photo, { embedder: 'mobilefacenet-512' });
   * // faces[0].embedding: Float32Array(512), unalignedCount: 0
   */
  abstract represent(image: Uint8Array, options?: RepresentCallOptions): Promise<ImageFaces<RepresentedFace>>;

  /**
   * As {@link FaceModel.detect}, with attributes of every selected face.
   *
   * @throws {FaceError} MODEL_NOT_LOADED with `details.attribute` for one that no loaded model estimates.
   *
   * @example
   * const { faces } = await model.analyze(photo, { attributes: ['age'] });
   * // faces[0].age: 34.2
   */
  abstract analyze(image: Uint8Array, options?: AnalyzeCallOptions): Promise<ImageFaces<AnalyzedFace>>;

  /**
   * Facts of a loaded embedder.
   *
   * @param align - of {@link RepresentCallOptions}: faces that were not aligned have another contract. @defaultValue true
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   *
   * @example
   * const { name, dimensions } = model.embedder();
   * // name: 'mobilefacenet-512', dimensions: 512
   */
  abstract embedder(name?: string, align?: boolean): EmbedderInfo;

  /**
   * Every model with a card, loaded ones first.
   *
   * @example
   * const loaded = model.models().filter(({ state }) => state === 'loaded');
   * // loaded.map(({ task }) => task): ['detect', 'landmarks', 'embed', ...]
   */
  abstract models(): ModelStatus[];

  /**
   * Current state of the workers, the queue, the cache and the memory.
   *
   * @example
   * const { queue, workers } = await model.status();
   * // queue.length: 0, workers.length: 2
   */
  abstract status(): Promise<EngineStatus>;

  /**
   * Loads and warms a model that has a card, and its landmark model, in new workers, which then take over from the old ones.
   * The card and the file are read again. A loaded model stays as it is.
   *
   * @param options.idleTtlMs - milliseconds without a call after which it is unloaded again.
   * @throws {FaceError} MODEL_UNKNOWN without a card; MODEL_LOAD_FAILED where it cannot be loaded, MEMORY_BUDGET_EXCEEDED
   * where it would not fit. The loaded models still serve then.
   *
   * @example
   * const { state, loadMs } = await model.loadModel('face-resnet-128', { idleTtlMs: 600_000 });
   * // state: 'loaded', loadMs: 310
   */
  abstract loadModel(name: string, options?: { idleTtlMs?: number }): Promise<ModelStatus>;

  /**
   * Runs a loaded model once in every worker, so that its pages are in memory again.
   *
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   *
   * @example
   * await model.warmModel('mobilefacenet-512');
   */
  abstract warmModel(name: string): Promise<ModelStatus>;

  /**
   * Unloads a model: new calls that name it are refused, running ones are answered. Settles when its memory is freed.
   *
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED; MODEL_IN_USE for a default, and for the landmark model of a detector.
   *
   * @example
   * const { state } = await model.unloadModel('face-resnet-128');
   * // state: 'available'
   */
  abstract unloadModel(name: string): Promise<ModelStatus>;

  /**
   * Replaces a loaded model, a default too, by another of the same task, without interruption. The same name twice reloads
   * a changed card or file.
   *
   * @throws {FaceError} as {@link FaceModel.loadModel} for the new one, MODEL_NOT_LOADED for the old one; the old one still
   * serves then.
   *
   * @example
   * await model.swapModel('mobilefacenet-512', 'face-resnet-128');
   * // model.defaultEmbedder: 'face-resnet-128'
   */
  abstract swapModel(name: string, replacement: string): Promise<ModelStatus>;

  /**
   * Deletes cached answers.
   *
   * @param imageSha256 - hexadecimal sha256 of the encoded image whose answers are deleted; absent: all are.
   * @returns the number of deleted answers.
   *
   * @example
   * const purged = model.purgeCache(createHash('sha256').update(photo).digest('hex'));
   * // purged: 1
   */
  abstract purgeCache(imageSha256?: string): number;

  /**
   * Whether calls are answered now; else the reason.
   *
   * @example
   * const { ready, reason } = model.readiness();
   * if (!ready) throw new ServiceUnavailableException(reason);
   */
  abstract readiness(): { ready: boolean; reason?: string };

  /**
   * The error with which every image of a caller would be refused now; `null` where that is unknown. A server asks before it
   * reads an upload. Subclasses need not override it.
   *
   * @param caller - as {@link FaceCallOptions.caller}.
   * @returns QUEUE_FULL, CALLER_QUEUE_FULL, CALLER_QUARANTINED or NOT_READY.
   *
   * @example
   * const error = model.refusal('tenant-1');
   * if (error != null) throw error; // before the upload is read
   */
  refusal(_caller: string): FaceError | null {
    return null;
  }

  /**
   * Ends the workers. Waiting calls are refused, running ones finish or hit their deadline.
   *
   * @example
   * await model.close(); // only where no FaceModule does it at shutdown
   */
  abstract close(): Promise<void>;
}

/** Name of the detector that a call with images runs; `null` where it runs none. */
export function detectorOf(
  model: FaceModel,
  { detector, wholeImage }: Pick<FaceCallOptions, 'detector' | 'wholeImage'>,
): string | null {
  return wholeImage === 'always' ? null : (detector ?? model.defaultDetector);
}
