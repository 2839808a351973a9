import type {
  AnalyzedFace,
  Attribute,
  FaceDetection,
  FaceSelection,
  ImageFaces,
  RepresentedFace,
  WholeImageMode,
} from './face.types';

/** What the worker does with one image. One round trip per image: bytes in, faces out. */
export interface FaceJob {
  task: 'detect' | 'represent' | 'analyze';
  /** Encoded image: JPEG, PNG, WebP, GIF, AVIF or TIFF. */
  image: Uint8Array;
  /** Every model that the task runs, as {@link modelId} says it: only workers that hold all of them may be given the job. */
  models: readonly string[];
  /** Not read where `wholeImage` is `always`. */
  detector: string;
  /** Name of the embedder; read by `represent` only. */
  embedder: string;
  selection: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces: number;
  /** Minimum length of the shorter box side of a face, in pixels. */
  minFaceSize: number;
  /** Overrides the scores of the detector's card, [0, 1]. */
  minDetectionScore?: number;
  /** Measure the pixels of every selected face; read by `represent` only. Absent: no. */
  quality?: true;
  /** Cut every selected face out; read by `represent` only. Absent: no. */
  crop?: true;
  /** Hash the encoded image. Absent: no. */
  hash?: true;
  /** Look at the picture as it is, not at its other turns. Absent: at those too where the first look leaves it in doubt. */
  autoRotate?: false;
  /** When the whole image is the face. Absent: never. */
  wholeImage?: Exclude<WholeImageMode, 'never'>;
  /** Faces are cut out by their boxes, not aligned; read by `represent` only. Absent: they are aligned. */
  align?: false;
  /** Name of the model for each attribute that is estimated; read by `analyze` only. */
  attributes?: Partial<Record<Attribute, string>>;
  /** Names of the presentation attack models that judge every selected face. Absent: none does. */
  attackModels?: readonly string[];
}

/** Runs of one model for one job. */
export interface ModelRun {
  model: string;
  count: number;
  /** Milliseconds of all of them. */
  ms: number;
}

/** Result of a {@link FaceJob}; which fields a face has follows from the task. */
export type FaceJobResult = ImageFaces<FaceDetection | RepresentedFace | AnalyzedFace> & {
  /** What the models ran since the last result of this worker. */
  runs: ModelRun[];
};
