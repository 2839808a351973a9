import type { DecisionResult } from '../../face/verification.service';
import type { FaceDetection, FaceSelection, Metric, StageTimings } from '../../pipeline/face.types';
import type { ImageCallOptions } from '../gallery-calls';
import type { Metadata, MetadataFilter, ReferenceKey } from '../gallery.types';

/** Maximum of `IdentifyOptions.limit`. */
export const MAX_CANDIDATES = 100;
export const DEFAULT_CANDIDATES = 5;

/** Options of `GalleryService.identify`. */
export interface IdentifyOptions extends ImageCallOptions {
  /** @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** Maximum number of faces, largest first. */
  maxFaces?: number;
  /** Maximum number of candidates per face, [1, {@link MAX_CANDIDATES}]. @defaultValue {@link DEFAULT_CANDIDATES} */
  limit?: number;
  /** Largest cosine distance of a candidate, [0, 2], inclusive. @defaultValue by `targetFpir` */
  threshold?: number;
  /**
   * False positive identification rate, [1e-6, 0.5]: the share of searches for unknown people that return a candidate. The
   * embedder's calibration turns it and the number of subjects, without the filter, into a threshold. Ignored with `threshold`.
   * @defaultValue the gallery's threshold, else its rate, else that of the module; for embedders without a calibration the
   * threshold of the card
   */
  targetFpir?: number;
  /** Only subjects whose metadata matches. @defaultValue all subjects */
  filter?: MetadataFilter;
}

/** Options of `GalleryService.verifySubject`. */
export interface VerifySubjectOptions extends ImageCallOptions {
  /** `all`: the closest face counts. @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** Largest cosine distance that verifies, [0, 2], inclusive. @defaultValue by `targetFmr` */
  threshold?: number;
  /**
   * False match rate, [1e-6, 0.5]: the embedder's calibration turns it into a threshold. Ignored with `threshold`.
   * @defaultValue the gallery's threshold, else its rate, else that of the module; for embedders without a
   * calibration the threshold of the card
   */
  targetFmr?: number;
  /** Distances within `threshold ± reviewMargin` need review, [0, 2]. @defaultValue that of the module */
  reviewMargin?: number;
}

/** A subject within the threshold and its most similar reference. */
export interface Candidate extends ReferenceKey {
  /** 1 for the most similar. */
  rank: number;
  /** Cosine distance, [0, 2], to six decimals. */
  distance: number;
  /** Cosine similarity, [-1, 1]: `1 - distance`. */
  similarity: number;
  /** Share of pairs of different people that are at least this similar, see {@link DecisionResult}. */
  falseMatchRate: number | null;
  /** Of the subject. */
  metadata: Metadata;
}

/** A face of the probe. */
export interface IdentifiedFace {
  /** `null` for an embedding. */
  face: FaceDetection | null;
  /** True if no subject is within the threshold. */
  unknown: boolean;
  /** Subjects within the threshold, most similar first. */
  candidates: Candidate[];
}

/** Result of `GalleryService.identify`. */
export interface Identification {
  faces: IdentifiedFace[];
  /** Largest cosine distance of a candidate, [0, 2], inclusive. */
  threshold: number;
  /**
   * The rate that gave the threshold; `null` if a threshold was set. Where a large gallery needs a lower rate than the
   * calibration covers, the threshold is that of its last point.
   */
  targetFpir: number | null;
  galleryId: string;
  /** References in the gallery, before the filter. */
  galleryReferenceCount: number;
  /** Clockwise rotation of the image in degrees, 0, 90, 180 or 270; `null` for an embedding. */
  rotation: number | null;
  /** `null` for an embedding. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** Stages of the image, if the probe is one, and milliseconds of the search for all its faces. */
  timings: (StageTimings & { searchMs: number }) | { searchMs: number };
}

/** Result of `GalleryService.verifySubject`. */
export interface SubjectVerification extends ReferenceKey, DecisionResult {
  /** `distance <= threshold`; always false with a `reason`. */
  verified: boolean;
  /** Cosine distance to the most similar reference of the subject, [0, 2]. */
  distance: number;
  /** Cosine similarity, [-1, 1]. */
  similarity: number;
  threshold: number;
  /** The compared face; `null` for an embedding. */
  face: FaceDetection | null;
  /** Clockwise rotation of the image in degrees, 0, 90, 180 or 270; `null` for an embedding. */
  rotation: number | null;
  /** `null` for an embedding. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** `null` for an embedding. */
  timings: StageTimings | null;
}

/** Options of `GalleryService.findReferences`. */
export interface FindReferencesOptions {
  /** @defaultValue `cosine` */
  metric?: Metric;
  /** Largest distance of a reference, in the unit of the metric, inclusive. @defaultValue no limit */
  maxDistance?: number;
  /** Maximum number of references, [1, `MAX_SEARCH_LIMIT`]. @defaultValue `MAX_SEARCH_LIMIT` */
  limit?: number;
  /** Only references of subjects whose metadata matches. @defaultValue all references */
  filter?: MetadataFilter;
}

/** A reference near a probe. */
export interface FoundReference extends ReferenceKey {
  /** In the unit of the metric, to six decimals. */
  distance: number;
  /** Of the subject. */
  metadata: Metadata;
}
