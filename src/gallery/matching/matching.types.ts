import type { DecisionResult } from '../../face/verification.service';
import type { FaceDetection, FaceSelection, Metric, StageTimings } from '../../pipeline/face.types';
import type { ImageCallOptions } from '../gallery-calls';
import type { Metadata, MetadataFilter, ReferenceKey } from '../gallery.types';

/** Most candidates of one face. */
export const MAX_CANDIDATES = 100;
export const DEFAULT_CANDIDATES = 5;

/** Choices of one `GalleryService.identify`. */
export interface IdentifyOptions extends ImageCallOptions {
  /** @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces?: number;
  /** Most candidates for each face, [1, {@link MAX_CANDIDATES}]. @defaultValue {@link DEFAULT_CANDIDATES} */
  limit?: number;
  /** Largest cosine distance of a candidate, [0, 2], inclusive. @defaultValue by `targetFpir` */
  threshold?: number;
  /**
   * Share of searches for strangers that may find somebody, [1e-6, 0.5]: the threshold follows from it and from the number of
   * subjects in the gallery, filtered out or not, by the embedder's calibration. Not read where a threshold is given.
   * @defaultValue the gallery's threshold, else its rate, else that of the module; for embedders without a calibration the
   * threshold of the card
   */
  targetFpir?: number;
  /** Only subjects whose metadata passes. @defaultValue all */
  filter?: MetadataFilter;
}

/** Choices of one `GalleryService.verifySubject`. */
export interface VerifySubjectOptions extends ImageCallOptions {
  /** With `all` the closest face counts. @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** Largest cosine distance that verifies, [0, 2], inclusive. @defaultValue by `targetFmr` */
  threshold?: number;
  /**
   * False match rate, [1e-6, 0.5], that the threshold follows from, by the embedder's calibration. Not read where a threshold
   * is given. @defaultValue the gallery's threshold, else its rate, else that of the module; for embedders without a
   * calibration the threshold of the card
   */
  targetFmr?: number;
  /** Distances within `threshold ± reviewMargin` are for review, [0, 2]. @defaultValue that of the module */
  reviewMargin?: number;
}

/** A subject within the threshold, with its most similar reference. */
export interface Candidate extends ReferenceKey {
  /** From 1, the most similar. */
  rank: number;
  /** Cosine distance, [0, 2], to six decimals. */
  distance: number;
  /** Cosine similarity, [-1, 1]: `1 - distance`. */
  similarity: number;
  /** How often two strangers are at least this similar, see {@link DecisionResult}. */
  falseMatchRate: number | null;
  /** Of the subject. */
  metadata: Metadata;
}

/** A face of the probe. */
export interface IdentifiedFace {
  /** `null` where an embedding came in. */
  face: FaceDetection | null;
  /** No subject is within the threshold. */
  unknown: boolean;
  /** Within the threshold, most similar first. */
  candidates: Candidate[];
}

/** Answer of `GalleryService.identify`. */
export interface Identification {
  faces: IdentifiedFace[];
  /** Largest cosine distance of a candidate, [0, 2], inclusive. */
  threshold: number;
  /**
   * The rate that the threshold follows from; `null` where a threshold decided. In a gallery so large that it asks for more than
   * the calibration covers, the threshold is the one at the calibration's last point.
   */
  targetFpir: number | null;
  galleryId: string;
  /** References that were searched, before the filter. */
  galleryReferenceCount: number;
  /** Degrees clockwise, 0, 90, 180 or 270, by which the image was turned; `null` where an embedding came in. */
  rotation: number | null;
  /** `null` where an embedding came in. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** Of the image, where one came in, and milliseconds of the search of all its faces. */
  timings: (StageTimings & { searchMs: number }) | { searchMs: number };
}

/** Answer of `GalleryService.verifySubject`. */
export interface SubjectVerification extends ReferenceKey, DecisionResult {
  /** `distance <= threshold`; false wherever `reason` is given. */
  verified: boolean;
  /** Cosine distance to the most similar reference of the subject, [0, 2]. */
  distance: number;
  /** Cosine similarity, [-1, 1]. */
  similarity: number;
  threshold: number;
  /** The compared face; `null` where an embedding came in. */
  face: FaceDetection | null;
  /** Degrees clockwise, 0, 90, 180 or 270, by which the image was turned; `null` where an embedding came in. */
  rotation: number | null;
  /** `null` where an embedding came in. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** `null` where an embedding came in. */
  timings: StageTimings | null;
}

/** Choices of one `GalleryService.findReferences`. */
export interface FindReferencesOptions {
  /** @defaultValue `cosine` */
  metric?: Metric;
  /** Largest distance of a reference, in the unit of the metric, inclusive. @defaultValue none */
  maxDistance?: number;
  /** Most references, [1, `MAX_SEARCH_LIMIT`]. @defaultValue `MAX_SEARCH_LIMIT` */
  limit?: number;
  /** Only references of subjects whose metadata passes. @defaultValue all */
  filter?: MetadataFilter;
}

/** A reference near a probe. */
export interface FoundReference extends ReferenceKey {
  /** In the unit of the metric, to six decimals. */
  distance: number;
  /** Of the subject. */
  metadata: Metadata;
}
