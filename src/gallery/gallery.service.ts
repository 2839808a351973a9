import { Injectable } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { FaceError, type FaceErrorCode } from '../errors';
import { type EmbedderInfo, FaceModel, type RepresentCallOptions } from '../face/face-model';
import { defaultThreshold, representInput, type VerificationInput } from '../face/verification.service';
import { compareEmbeddings, type NormedEmbedding } from '../pipeline/compare-embeddings';
import { poseOf } from '../pipeline/face-quality';
import type { FaceDetection, FaceSelection, PixelQuality, StageTimings } from '../pipeline/face.types';
import { GATE_LIMITS, qualityReasons, type RejectionReason } from './enrolment-gate';
import {
  assertValid,
  galleryIdProblem,
  integerProblem,
  metadataProblem,
  settingsProblems,
  subjectIdProblem,
} from './gallery-rules';
import { GalleryStore } from './gallery-store';
import { DEFAULT_GALLERY_ID, DEFAULT_GALLERY_SETTINGS, type GalleryModuleOptions } from './gallery.options';
import type {
  AddedReference,
  EnrolmentGate,
  FaceQuality,
  Gallery,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  NewReference,
  Reference,
  ReferenceKey,
  StoredReference,
  Subject,
} from './gallery.types';
import { KeyedLock } from './keyed-lock';

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

/** Images of one call that are worked on at the same time: more than workers, and a part of what may wait. */
const IMAGES_AT_A_TIME = 16;
/** Embeddings of one call that are added with one acknowledgement. */
const EMBEDDINGS_AT_A_TIME = 1000;
/** Similarities come to single precision, so that distances are told to six decimals. */
const PRECISION = 1e-6;

/** Errors that are none of an item's own: they fail the call. */
const ERRORS_OF_THE_CALL: readonly FaceErrorCode[] = [
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'REQUEST_ABORTED',
];

/** An item that the model has seen and that is to be added. */
interface Enrolment {
  reference: NewReference;
  /** What the gate has against it so far. */
  reasons: RejectionReason[];
  face: FaceDetection | null;
  timings: StageTimings | null;
}

/**
 * Faces of known subjects: enrols, identifies (1:N), verifies against a subject. What needs no face goes straight to
 * {@link GalleryStore}.
 *
 * @publicApi
 */
@Injectable()
export class GalleryService {
  /** Strict enrolment, by gallery. */
  private readonly locks = new KeyedLock();

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly options: Pick<GalleryModuleOptions, 'defaultGallery' | 'onNotice' | 'onSearch'> = {},
  ) {}

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
      this.embedderOf(await this.store.getGallery(DEFAULT_GALLERY_ID));
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
  async enroll(
    galleryId: string,
    items: readonly EnrolmentItem[],
    options: EnrolOptions = {},
  ): Promise<(EnrolmentResult | FaceError)[]> {
    const gallery = await this.store.getGallery(galleryId);
    this.embedderOf(gallery);
    const gate = options.enrolmentGate ?? gallery.enrolmentGate;
    const atATime = items.some(({ input }) => isImage(input)) ? IMAGES_AT_A_TIME : EMBEDDINGS_AT_A_TIME;
    const results: (EnrolmentResult | FaceError)[] = [];
    for (let start = 0; start < items.length; start += atATime) {
      const prepared = await Promise.all(
        items.slice(start, start + atATime).map((item, i) => {
          const { idempotencyKey: key } = options;
          const id = key == null ? randomUUID() : derivedId(galleryId, key, start + i);
          return orError(this.prepare(gallery, gate, item, id, options));
        }),
      );
      results.push(...(await this.add(gallery, gate, prepared)));
    }
    return results;
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
    const embedder = this.embedderOf(gallery);
    const threshold = thresholdOf(gallery, embedder, givenThreshold);
    const { faces, timings } = await representInput(this.model, probe, embedder, imageOptions(options));
    const startedAt = performance.now();
    const hits = await this.store.search(
      galleryId,
      faces.map(({ embedding }) => embedding),
      { limit, filter, minSimilarity: 1 - threshold - PRECISION },
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
      detector: timings == null ? null : (options.detector ?? this.model.defaultDetector),
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
    const embedder = this.embedderOf(gallery);
    const threshold = thresholdOf(gallery, embedder, options.threshold);
    const { faces, timings } = await representInput(this.model, probe, embedder, imageOptions(options));
    const pairs = faces.flatMap((face) =>
      references.map((reference) => ({
        face,
        reference,
        ...compareEmbeddings(face, normed(reference), 'cosine'),
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
      detector: timings == null ? null : (options.detector ?? this.model.defaultDetector),
      embedder: embedder.name,
      contract: embedder.contract,
      timings,
    };
  }

  /**
   * The loaded embedder to whose contract a gallery is bound.
   *
   * @throws {FaceError} MODEL_NOT_LOADED
   */
  private embedderOf({ id, contract }: Gallery): EmbedderInfo {
    const byDefault = this.model.embedder();
    if (byDefault.contract === contract) return byDefault;
    for (const { state, embedder } of this.model.models()) {
      if (state === 'loaded' && embedder?.contract === contract) return embedder;
    }
    throw new FaceError(
      'MODEL_NOT_LOADED',
      `Gallery ${id} holds embeddings of contract ${contract}, and no loaded embedder makes such.`,
      { galleryId: id, contract },
    );
  }

  /** Makes of an item what can be added; or recognises what was added by the same call before. */
  private async prepare(
    gallery: Gallery,
    gate: EnrolmentGate,
    { subjectId, input, metadata = {} }: EnrolmentItem,
    id: string,
    options: EnrolOptions,
  ): Promise<Enrolment | EnrolmentResult> {
    assertValid({ subjectId: subjectIdProblem(subjectId), metadata: metadataProblem(metadata) });
    const imageHash = isImage(input) ? createHash('sha256').update(input).digest('hex') : null;
    if (options.idempotencyKey != null && imageHash != null) {
      // Neither worked on again nor judged again, by a gate or a gallery that may have changed since.
      const reference = await this.referenceOf(gallery.id, subjectId, id);
      if (reference?.imageHash === imageHash) {
        const { embedding: _, ...known } = reference;
        return { status: 'existing', reference: known, sameImage: [], face: null, timings: null };
      }
    }
    const isGateOn = gate !== 'off';
    const { faceSelection = isGateOn ? 'single' : 'best' } = options;
    const seen = await representInput(this.model, input, this.embedderOf(gallery), {
      ...imageOptions(options),
      // The gate tells of several faces itself, beside all else that it finds.
      faceSelection: isGateOn && faceSelection === 'single' ? 'best' : faceSelection,
      quality: true,
    });
    const [{ embedding, detection, quality: pixels }] = seen.faces;
    const quality = detection == null ? null : faceQuality(detection, pixels);
    const reasons: RejectionReason[] = [];
    if (isGateOn && faceSelection === 'single' && seen.faceCount > 1) reasons.push('SEVERAL_FACES');
    if (isGateOn && quality != null) reasons.push(...qualityReasons(quality, GATE_LIMITS[gate]));
    return {
      reference: { id, subjectId, embedding, metadata, quality, imageHash },
      reasons,
      face: detection,
      timings: seen.timings,
    };
  }

  private async add(
    gallery: Gallery,
    gate: EnrolmentGate,
    prepared: readonly (Enrolment | EnrolmentResult | FaceError)[],
  ): Promise<(EnrolmentResult | FaceError)[]> {
    const isOpen = (item: (typeof prepared)[number]): item is Enrolment => 'reasons' in item;
    const open = prepared.filter(isOpen);
    const outcomes =
      gate === 'strict'
        ? await this.locks.run(gallery.id, () => this.addStrictly(gallery, open))
        : await this.addPassing(gallery, open);
    const byEnrolment = new Map(open.map((enrolment, i) => [enrolment, outcomes[i]]));
    return prepared.map((item) =>
      isOpen(item) ? (byEnrolment.get(item) as EnrolmentResult | FaceError) : item,
    );
  }

  /** One after the other, each compared with what is there before it. */
  private async addStrictly(
    gallery: Gallery,
    enrolments: readonly Enrolment[],
  ): Promise<(EnrolmentResult | FaceError)[]> {
    const threshold = thresholdOf(gallery, this.embedderOf(gallery));
    const results: (EnrolmentResult | FaceError)[] = [];
    for (const enrolment of enrolments) {
      const reasons = await this.galleryReasons(gallery.id, enrolment.reference, threshold);
      enrolment.reasons.push(...reasons);
      results.push(...(await this.addPassing(gallery, [enrolment])));
    }
    return results;
  }

  private async addPassing(
    { id: galleryId }: Gallery,
    enrolments: readonly Enrolment[],
  ): Promise<(EnrolmentResult | FaceError)[]> {
    const passing = enrolments.filter(({ reasons }) => reasons.length === 0);
    const added = await this.store.addReferences(
      galleryId,
      passing.map(({ reference }) => reference),
    );
    const outcomes = new Map(passing.map((enrolment, i) => [enrolment, added[i]]));
    return Promise.all(
      enrolments.map(async (enrolment) => {
        const outcome = outcomes.get(enrolment);
        if (outcome == null) return rejected(enrolment);
        if (outcome instanceof FaceError) return outcome;
        if (
          outcome.status === 'existing' &&
          !(await this.isSame(galleryId, enrolment.reference, outcome.reference))
        ) {
          return new FaceError(
            'IDEMPOTENCY_CONFLICT',
            'The idempotency key was used before for other content.',
            {
              galleryId,
            },
          );
        }
        return { ...outcome, face: enrolment.face, timings: enrolment.timings };
      }),
    );
  }

  /** What a strict gate has against a face beside those that the gallery holds. */
  private async galleryReasons(
    galleryId: string,
    { subjectId, embedding }: NewReference,
    threshold: number,
  ): Promise<RejectionReason[]> {
    // Two: one of them may be the subject itself.
    const [nearest] = await this.store.search(galleryId, [embedding], {
      limit: 2,
      minSimilarity: 1 - threshold - PRECISION,
    });
    const near = nearest.filter((hit) => distanceOf(hit) <= threshold);
    const own = await this.ownReferences(galleryId, subjectId);
    const reasons: RejectionReason[] = [];
    if (near.some((hit) => hit.subjectId !== subjectId)) reasons.push('NEAR_ANOTHER_SUBJECT');
    const distances = own.map(
      (reference) => compareEmbeddings({ embedding, norm: 1 }, normed(reference), 'cosine').distance,
    );
    if (distances.length > 0 && Math.min(...distances) > threshold) reasons.push('FAR_FROM_OWN_REFERENCES');
    return reasons;
  }

  private async ownReferences(galleryId: string, subjectId: string): Promise<StoredReference[]> {
    const references = await orNull('SUBJECT_NOT_FOUND', this.store.listReferences(galleryId, subjectId));
    return references ?? [];
  }

  /** `null` where the subject has none of this id. */
  private async referenceOf(
    galleryId: string,
    subjectId: string,
    id: string,
  ): Promise<StoredReference | null> {
    return orNull(
      'SUBJECT_NOT_FOUND',
      orNull('REFERENCE_NOT_FOUND', this.store.getReference(galleryId, subjectId, id)),
    );
  }

  /** Whether a reference has the subject and the image, or the embedding, of one that is there. */
  private async isSame(galleryId: string, wanted: NewReference, known: Reference): Promise<boolean> {
    if (known.subjectId !== wanted.subjectId || known.imageHash !== wanted.imageHash) return false;
    if (wanted.imageHash != null) return true;
    const stored = await this.referenceOf(galleryId, known.subjectId, known.id);
    return stored != null && wanted.embedding.every((value, i) => value === stored.embedding[i]);
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

/** Cosine distance of a hit, to six decimals, so that a face is at distance 0 of itself. */
function distanceOf({ similarity }: Hit): number {
  return Math.min(2, Math.max(0, Math.round((1 - similarity) / PRECISION) * PRECISION));
}

function thresholdOf(gallery: Gallery, embedder: EmbedderInfo, given?: number): number {
  return given ?? gallery.threshold ?? defaultThreshold(embedder, 'cosine');
}

/** What {@link FaceModel.represent} takes of the options of a call, and nothing else of them. */
function imageOptions(options: IdentifyOptions): RepresentCallOptions {
  const { detector, minDetectionScore, faceSelection, maxFaces, signal, timeoutMs, caller } = options;
  return { detector, minDetectionScore, faceSelection, maxFaces, signal, timeoutMs, caller };
}

function faceQuality(
  { box, landmarks, detectionScore }: FaceDetection,
  pixels: PixelQuality | null,
): FaceQuality {
  return {
    detectionScore,
    faceSizePx: Math.min(box.width, box.height),
    sharpness: pixels?.sharpness ?? null,
    brightness: pixels?.brightness ?? null,
    pose: poseOf(landmarks),
  };
}

function rejected({ reasons, reference }: Enrolment): FaceError {
  return new FaceError('REFERENCE_REJECTED', `The enrolment gate refuses the face: ${reasons.join(', ')}.`, {
    reasons,
    quality: reference.quality,
  });
}

/** The same call gives the same ids: sha256 in the shape of a UUID (version 8, RFC 9562). */
function derivedId(galleryId: string, key: string, index: number): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([galleryId, key, index]))
    .digest();
  hash[6] = (hash[6] & 0x0f) | 0x80;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

function normed({ embedding }: StoredReference): NormedEmbedding {
  return { embedding, norm: 1 };
}

function isImage(input: VerificationInput): input is Uint8Array {
  return ArrayBuffer.isView(input);
}

/** Without the keys that are there and undefined, which would cover a default. */
function defined<T extends object>(values: T | undefined): Partial<T> {
  return Object.fromEntries(
    Object.entries(values ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

function isFaceError(error: unknown, code: FaceErrorCode): error is FaceError {
  return error instanceof FaceError && error.code === code;
}

/** An error of an item becomes its result; what is not the item's own is thrown. */
function orError<T>(work: Promise<T>): Promise<T | FaceError> {
  return work.catch((error: unknown) => {
    if (error instanceof FaceError && !ERRORS_OF_THE_CALL.includes(error.code)) return error;
    throw error;
  });
}

/** `null` where the work fails with this code. */
function orNull<T>(code: FaceErrorCode, work: Promise<T>): Promise<T | null> {
  return work.catch((error: unknown) => {
    if (isFaceError(error, code)) return null;
    throw error;
  });
}
