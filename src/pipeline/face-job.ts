import type {
  AnalyzedFace,
  Attribute,
  FaceDetection,
  FaceSelection,
  ImageFaces,
  RepresentedFace,
  WholeImageMode,
} from './face.types';

/** Work on one image for the worker. One round trip per image: bytes in, faces out. */
export interface FaceJob {
  task: 'detect' | 'represent' | 'analyze';
  /** Encoded image: JPEG, PNG, WebP, GIF, AVIF or TIFF. */
  image: Uint8Array;
  /** Every model of the task, by {@link modelId}: only workers that hold all of them may get the job. */
  models: readonly string[];
  /** Ignored if `wholeImage` is `always`. */
  detector: string;
  /** Name of the embedder; used only by `represent`. */
  embedder: string;
  selection: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces: number;
  /** Minimum length of the shorter box side of a face, in pixels. */
  minFaceSize: number;
  /** Overrides the scores of the detector's card, [0, 1]. */
  minDetectionScore?: number;
  /** Measure the pixels of every selected face; used only by `represent`. Absent: no. */
  quality?: true;
  /** Crop every selected face; used only by `represent`. Absent: no. */
  crop?: true;
  /** Hash the encoded image. Absent: no. */
  hash?: true;
  /**
   * Detect only in the given rotation of the picture. Absent: also in the others if the first detection is doubtful.
   */
  autoRotate?: false;
  /** Use of the whole image as the face. Absent: never. */
  wholeImage?: Exclude<WholeImageMode, 'never'>;
  /** False: faces are cropped by their boxes, not aligned; used only by `represent`. Absent: faces are aligned. */
  align?: false;
  /** Name of the model for each estimated attribute; used only by `analyze`. */
  attributes?: Partial<Record<Attribute, string>>;
  /** Names of the presentation attack models for every selected face. Absent: none. */
  attackModels?: readonly string[];
}

/** Runs of one model for one job. */
export interface ModelRun {
  model: string;
  count: number;
  /** Total milliseconds of these runs. */
  ms: number;
}

/** Result of a {@link FaceJob}; the task determines the fields of a face. */
export type FaceJobResult = ImageFaces<FaceDetection | RepresentedFace | AnalyzedFace> & {
  /** Model runs since the last result of this worker. */
  runs: ModelRun[];
};
