import { Injectable } from '@nestjs/common';
import { FaceError } from '../errors';
import { detectorOf, FaceModel } from '../face/face-model';
import { representInput, type VerificationInput } from '../face/verification.service';
import { compareEmbeddings } from '../pipeline/compare-embeddings';
import type { FaceDetection, FaceSelection, StageTimings } from '../pipeline/face.types';
import { Enroller, type EnrolmentItem, type EnrolmentResult, type EnrolOptions } from './enroller';
import {
  distanceOf,
  embedderOf,
  type ImageCallOptions,
  isFaceError,
  minSimilarityOf,
  orNull,
  representOptions,
  thresholdOf,
} from './gallery-calls';
import { assertValid, galleryIdProblem, integerProblem, settingsProblems } from './gallery-rules';
import { GalleryStore } from './gallery-store';
import { DEFAULT_GALLERY_ID, DEFAULT_GALLERY_SETTINGS, type GalleryModuleOptions } from './gallery.options';
import type {
  Gallery,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  ReferenceKey,
  Subject,
} from './gallery.types';

export type { EnrolmentItem, EnrolmentResult, EnrolOptions } from './enroller';

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
  private readonly enroller: Enroller;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly options: Pick<GalleryModuleOptions, 'defaultGallery' | 'onNotice' | 'onSearch'> = {},
  ) {
    this.enroller = new Enroller(model, store);
  }

  /**
   * Makes a gallery.
   *
   * @throws {FaceError} PARAMETER_INVALID for the id or a setting; GALLERY_EXISTS; MODEL_UNKNOWN, MODEL_NOT_LOADED for the
   * embedder.
   */
  async createGallery({ id, embedder, ...given }: CreateGalleryOptions): Promise<Gallery> {
    const { contract, dimensions } = this.model.embedder(embedder);
    const settings = {
      ...DEFAULT_GALLERY_SETTINGS,
      ...defined(this.options.defaultGallery),
      ...defined(given),
    };
    assertValid({ id: galleryIdProblem(id), ...settingsProblems(settings) });
    return this.store.createGallery({ ...settings, id, contract, dimensions });
  }

  /** Makes the gallery {@link DEFAULT_GALLERY_ID} where the store has none; a notice says where it cannot be used. */
  async createDefaultGallery(): Promise<void> {
    try {
      embedderOf(this.model, await this.store.getGallery(DEFAULT_GALLERY_ID));
    } catch (error) {
      if (isFaceError(error, 'GALLERY_NOT_FOUND')) await this.createGallery({ id: DEFAULT_GALLERY_ID });
      else if (isFaceError(error, 'MODEL_NOT_LOADED')) {
        this.options.onNotice?.({ level: 'warn', message: error.message });
      } else throw error;
    }
  }

  /**
   * Adds a reference to a subject for each item; subjects that are not there yet are made. Images are worked on in parallel,
   * and added in the order of the items.
   *
   * The gate looks at images, and by {@link GATE_LIMITS}; `strict` also compares with what the gallery holds, one item after
   * the other, so that of two calls at once in this process the second sees what the first has added.
   *
   * @returns for each item what became of it. A FaceError: REFERENCE_REJECTED with `details.reasons` (all that apply) and
   * `details.quality`; IDEMPOTENCY_CONFLICT; PARAMETER_INVALID for the item's subject or metadata; FACE_NOT_DETECTED and all
   * that {@link FaceModel.represent} throws for the image; EMBEDDING_INVALID, EMBEDDING_CONTRACT_MISMATCH; GALLERY_FULL,
   * SUBJECT_FULL.
   * @throws {FaceError} what concerns the whole call: GALLERY_NOT_FOUND; MODEL_NOT_LOADED where no embedder of the gallery's
   * contract is loaded, or with MODEL_UNKNOWN for the detector; REQUEST_ABORTED; GALLERY_STORE_FAILED. Items that were added
   * before stay: the call may be repeated with the same idempotency key.
   */
  enroll(
    galleryId: string,
    items: readonly EnrolmentItem[],
    options: EnrolOptions = {},
  ): Promise<(EnrolmentResult | FaceError)[]> {
    return this.enroller.enroll(galleryId, items, options);
  }

  /**
   * Looks for the subjects of the faces of a probe (1:N), among all references of the gallery.
   *
   * @returns for each selected face the subjects within the threshold; a subject that is deleted meanwhile is left out.
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_NOT_LOADED where no embedder of the gallery's contract is loaded;
   * PARAMETER_INVALID for `limit` and `threshold`; FACE_NOT_DETECTED and all that {@link FaceModel.represent} throws;
   * EMBEDDING_INVALID, EMBEDDING_CONTRACT_MISMATCH for embeddings.
   */
  async identify(
    galleryId: string,
    probe: VerificationInput,
    options: IdentifyOptions = {},
  ): Promise<Identification> {
    const { limit = DEFAULT_CANDIDATES, filter, threshold: givenThreshold } = options;
    assertValid({
      limit: integerProblem(limit, [1, MAX_CANDIDATES]),
      ...settingsProblems({ threshold: givenThreshold }),
    });
    const gallery = await this.store.getGallery(galleryId);
    const embedder = embedderOf(this.model, gallery);
    const threshold = thresholdOf(gallery, embedder, givenThreshold);
    const { faces, timings } = await representInput(this.model, probe, embedder, representOptions(options));
    const startedAt = performance.now();
    const hits = await this.store.search(
      galleryId,
      faces.map(({ embedding }) => embedding),
      { limit, filter, minSimilarity: minSimilarityOf(threshold) },
    );
    const searchMs = performance.now() - startedAt;
    this.options.onSearch?.({ searchMs });
    const subjects = await this.subjectsOf(galleryId, hits.flat());
    return {
      faces: faces.map(({ detection }, i) => {
        const candidates = candidatesOf(hits[i], threshold, subjects);
        return { face: detection, unknown: candidates.length === 0, candidates };
      }),
      threshold,
      galleryId,
      galleryReferenceCount: gallery.referenceCount,
      detector: timings == null ? null : detectorOf(this.model, options),
      embedder: embedder.name,
      contract: embedder.contract,
      timings: { ...timings, searchMs },
    };
  }

  /**
   * Compares a probe with all references of one subject and decides by the most similar (1:1).
   *
   * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND; REFERENCE_NOT_FOUND where the subject has no references; the
   * others as {@link GalleryService.identify}.
   */
  async verifySubject(
    galleryId: string,
    subjectId: string,
    probe: VerificationInput,
    options: VerifySubjectOptions = {},
  ): Promise<SubjectVerification> {
    assertValid(settingsProblems({ threshold: options.threshold }));
    const gallery = await this.store.getGallery(galleryId);
    const references = await this.store.listReferences(galleryId, subjectId);
    if (references.length === 0) {
      throw new FaceError('REFERENCE_NOT_FOUND', 'The subject has no references.', { galleryId, subjectId });
    }
    const embedder = embedderOf(this.model, gallery);
    const threshold = thresholdOf(gallery, embedder, options.threshold);
    const { faces, timings } = await representInput(this.model, probe, embedder, representOptions(options));
    const pairs = faces.flatMap((face) =>
      references.map((reference) => ({
        face,
        reference,
        ...compareEmbeddings(face, { embedding: reference.embedding, norm: 1 }, 'cosine'),
      })),
    );
    const closest = pairs.reduce((best, pair) => (pair.distance < best.distance ? pair : best));
    return {
      verified: closest.distance <= threshold,
      distance: closest.distance,
      similarity: closest.similarity,
      threshold,
      subjectId,
      referenceId: closest.reference.id,
      face: closest.face.detection,
      detector: timings == null ? null : detectorOf(this.model, options),
      embedder: embedder.name,
      contract: embedder.contract,
      timings,
    };
  }

  private async subjectsOf(galleryId: string, hits: readonly Hit[]): Promise<ReadonlyMap<string, Subject>> {
    const ids = [...new Set(hits.map(({ subjectId }) => subjectId))];
    const subjects = await Promise.all(
      ids.map((id) => orNull('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, id))),
    );
    return new Map(subjects.filter((subject) => subject != null).map((subject) => [subject.id, subject]));
  }
}

function candidatesOf(
  hits: readonly Hit[],
  threshold: number,
  subjects: ReadonlyMap<string, Subject>,
): Candidate[] {
  const candidates = hits.flatMap((hit) => {
    const subject = subjects.get(hit.subjectId);
    const distance = distanceOf(hit);
    if (subject == null || distance > threshold) return [];
    const { subjectId, referenceId } = hit;
    return [{ subjectId, referenceId, distance, similarity: 1 - distance, metadata: subject.metadata }];
  });
  return candidates.map((candidate, i) => ({ rank: i + 1, ...candidate }));
}

/** Without the keys that are there and undefined, which would cover a default. */
function defined<T extends object>(values: T | undefined): Partial<T> {
  return Object.fromEntries(
    Object.entries(values ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}
