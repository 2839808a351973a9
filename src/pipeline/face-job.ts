import type { AnalyzedFace, FaceDetection, FaceSelection, ImageFaces, RepresentedFace } from './face.types';

/** What the worker does with one image. One round trip per image: bytes in, faces out. */
export interface FaceJob {
  task: 'detect' | 'represent' | 'analyze';
  /** Encoded image: JPEG, PNG, WebP, GIF, AVIF or TIFF. */
  image: Uint8Array;
  detector: string;
  /** Name of the embedder; read by `represent` only. */
  embedder: string;
  selection: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces: number;
  /** Faces whose shorter box side is under this many pixels are passed over. */
  minFaceSize: number;
  /** Overrides the scores of the detector's card, [0, 1]. */
  minDetectionScore?: number;
}

/** Result of a {@link FaceJob}; which fields a face has follows from the task. */
export type FaceJobResult = ImageFaces<FaceDetection | RepresentedFace | AnalyzedFace>;
