import { Injectable } from '@nestjs/common';
import type { FaceError } from '../errors';
import { FaceModel } from '../face/face-model';
import type { VerificationInput } from '../face/verification.service';
import type { FaceDetection, FaceSelection, StageTimings } from '../pipeline/face.types';
import { DEFAULT_GALLERY_SETTINGS, type GalleryModuleOptions } from './gallery.options';
import { GalleryStore } from './gallery-store';
import type {
  AddedReference,
  EnrolmentGate,
  Gallery,
  GallerySettings,
  Metadata,
  MetadataFilter,
  ReferenceKey,
} from './gallery.types';

/** A face that is to become a reference. */
export interface EnrolmentItem {
  subjectId: string;
  /** An encoded image (not changed), or an embedding of the gallery's contract. */
  input: VerificationInput;
  /** Of the reference. @defaultValue none */
  metadata?: Metadata;
}

/** Choices that every call with images takes. */
interface ImageCallOptions {
  /** Name of a loaded detector. */
  detector?: string;
  /** Overrides the score of the detector's card, [0, 1], inclusive. */
  minDetectionScore?: number;
  /** Drops images that still wait; running work finishes unanswered. */
  signal?: AbortSignal;
  /** Milliseconds to INFERENCE_TIMEOUT, of each image. */
  timeoutMs?: number;
  /** Whose work it is, see {@link FaceModel}. */
  caller?: string;
}

/** Choices of one {@link GalleryService.enroll}. */
export interface EnrolOptions extends ImageCallOptions {
  /** @defaultValue `single` where the gate is on (several faces are a reason to refuse), else `best` */
  faceSelection?: Exclude<FaceSelection, 'all'>;
  /** @defaultValue the gallery's */
  enrolmentGate?: EnrolmentGate;
  /**
   * A repeat of the call with the same key adds nothing that the first has added. Any string; belongs to the gallery.
   * @defaultValue none: every call adds
   */
  idempotencyKey?: string;
}

/** What became of one item. */
export type EnrolmentResult = AddedReference & {
  /** The enrolled face; `null` where an embedding came in, or a repeat was recognised before the image was looked at. */
  face: FaceDetection | null;
  /** `null` as `face`. */
  timings: StageTimings | null;
};

/** Choices of one {@link GalleryService.identify}. */
export interface IdentifyOptions extends ImageCallOptions {
  /** @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** At most this many faces, largest first. */
  maxFaces?: number;
  /** Most candidates for each face, [1, {@link MAX_CANDIDATES}]. @defaultValue {@link DEFAULT_CANDIDATES} */
  limit?: number;
  /** Largest cosine distance of a candidate, [0, 2], inclusive. @defaultValue the gallery's, else that of the embedder's card */
  threshold?: number;
  /** Only subjects whose metadata passes. @defaultValue all */
  filter?: MetadataFilter;
}

/** Choices of one {@link GalleryService.verifySubject}. */
export interface VerifySubjectOptions extends ImageCallOptions {
  /** With `all` the closest face counts. @defaultValue `best` */
  faceSelection?: FaceSelection;
  /** As in {@link IdentifyOptions}. */
  threshold?: number;
}

/** A subject within the threshold, with its most similar reference. */
export interface Candidate extends ReferenceKey {
  /** From 1, the most similar. */
  rank: number;
  /** Cosine distance, [0, 2], to six decimals. */
  distance: number;
  /** Cosine similarity, [-1, 1]: `1 - distance`. */
  similarity: number;
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

/** Answer of {@link GalleryService.identify}. */
export interface Identification {
  faces: IdentifiedFace[];
  /** Largest cosine distance of a candidate, [0, 2], inclusive. */
  threshold: number;
  galleryId: string;
  /** References that were searched, before the filter. */
  galleryReferenceCount: number;
  /** `null` where an embedding came in. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** Of the image, where one came in, and milliseconds of the search of all its faces. */
  timings: (StageTimings & { searchMs: number }) | { searchMs: number };
}

/** Answer of {@link GalleryService.verifySubject}. */
export interface SubjectVerification extends ReferenceKey {
  /** `distance <= threshold`. */
  verified: boolean;
  /** Cosine distance to the most similar reference of the subject, [0, 2]. */
  distance: number;
  /** Cosine similarity, [-1, 1]. */
  similarity: number;
  threshold: number;
  /** The compared face; `null` where an embedding came in. */
  face: FaceDetection | null;
  /** `null` where an embedding came in. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** `null` where an embedding came in. */
  timings: StageTimings | null;
}

/** A gallery that is to be made; settings that are absent take the defaults of the module. */
export interface CreateGalleryOptions extends Partial<GallerySettings> {
  id: string;
  /** Name of a loaded embedder, to whose contract the gallery is bound. @defaultValue the default embedder */
  embedder?: string;
}

/** Most candidates of one face. */
export const MAX_CANDIDATES = 100;
export const DEFAULT_CANDIDATES = 5;

/**
 * Faces of known subjects: enrols, identifies (1:N), verifies against a subject. What needs no face goes straight to
 * {@link GalleryStore}.
 *
 * @publicApi
 */
@Injectable()
export class GalleryService {
  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly options: Pick<GalleryModuleOptions, 'defaultGallery' | 'onSearch'> = {},
  ) {}

  /**
   * Makes a gallery.
   *
   * @throws {FaceError} PARAMETER_INVALID for the id or a setting; GALLERY_EXISTS; MODEL_UNKNOWN, MODEL_NOT_LOADED for the
   * embedder.
   */
  async createGallery({ id, embedder, ...settings }: CreateGalleryOptions): Promise<Gallery> {
    const { contract, dimensions } = this.model.embedder(embedder);
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    return this.store.createGallery({
      ...DEFAULT_GALLERY_SETTINGS,
      ...this.options.defaultGallery,
      ...given,
      id,
      contract,
      dimensions,
    });
  }

  /** Makes the gallery {@link DEFAULT_GALLERY_ID} where the store has none; says where no loaded embedder fits it. */
  async createDefaultGallery(): Promise<void> {
    throw new Error('not yet');
  }

  enroll(
    _galleryId: string,
    _items: readonly EnrolmentItem[],
    _options: EnrolOptions = {},
  ): Promise<(EnrolmentResult | FaceError)[]> {
    throw new Error('not yet');
  }

  identify(
    _galleryId: string,
    _probe: VerificationInput,
    _options: IdentifyOptions = {},
  ): Promise<Identification> {
    throw new Error('not yet');
  }

  verifySubject(
    _galleryId: string,
    _subjectId: string,
    _probe: VerificationInput,
    _options: VerifySubjectOptions = {},
  ): Promise<SubjectVerification> {
    throw new Error('not yet');
  }
}
