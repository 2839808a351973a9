import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { FaceError, type FaceErrorCode, nullOn } from '../../errors';
import type { EmbedderInfo, FaceModel } from '../../face/face-model';
import { identificationThreshold, verificationThreshold } from '../../face/thresholds';
import { representInput, type VerificationInput } from '../../face/represent-input';
import { compareEmbeddings } from '../../pipeline/embed/compare-embeddings';
import { poseOf } from '../../pipeline/align/face-pose';
import type {
  FaceDetection,
  FacePose,
  FaceSelection,
  PixelQuality,
  StageTimings,
} from '../../pipeline/face.types';
import { GATE_LIMITS, qualityReasons, type RejectionReason } from './enrollment-gate';
import {
  distanceOf,
  embedderOf,
  type ImageCallOptions,
  minSimilarityOf,
  representOptions,
} from '../gallery-calls';
import {
  assertValid,
  isSameSubject,
  metadataProblem,
  rightsProblems,
  subjectIdProblem,
} from '../gallery-rules';
import type { GalleryStore } from '../stores/gallery-store';
import type {
  AddedReference,
  EnrollmentGate,
  FaceQuality,
  Gallery,
  Metadata,
  NewReference,
  Reference,
  StoredReference,
} from '../gallery.types';
import { KeyedLock } from '../keyed-lock';
import type { Retention } from '../retention';

/** A face to enroll. */
export interface EnrollmentItem {
  subjectId: string;
  /** An encoded image (not changed), or an embedding of the gallery's contract. */
  input: VerificationInput;
  /** Metadata of the reference. @defaultValue none */
  metadata?: Metadata;
  /** When the reference expires, milliseconds since 1970, UTC. @defaultValue `null`: never */
  expiresAt?: number | null;
}

/** Options of `GalleryService.enroll`. */
export interface EnrollOptions extends ImageCallOptions {
  /** @defaultValue `single` with a gate (several faces are a reason to reject), else `best` */
  faceSelection?: Exclude<FaceSelection, 'all'>;
  /** @defaultValue the gallery's */
  enrollmentGate?: EnrollmentGate;
  /**
   * A repeated call with the same key adds nothing twice. Any string, unique per gallery.
   * @defaultValue none: every call adds
   */
  idempotencyKey?: string;
}

/** Result of one item. */
export type EnrollmentResult = AddedReference & {
  /** The enrolled face; `null` for an embedding, or for a repeat that was recognized before processing the image. */
  face: FaceDetection | null;
  /** `null` if `face` is. */
  timings: StageTimings | null;
};

/** Images of one call processed at the same time: more than the workers, and only a part of the queue. */
const IMAGES_AT_A_TIME = 16;
/** Embeddings of one call added together. */
const EMBEDDINGS_AT_A_TIME = 1000;
/** Errors that fail the whole call, not a single item. */
const CALL_LEVEL_ERRORS: readonly FaceErrorCode[] = [
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'GALLERY_STORE_STOPPED',
  'REQUEST_ABORTED',
];

/** An item to add, after the model has processed it. */
interface Enrollment {
  reference: NewReference;
  /** Reasons of the gate to reject it so far. */
  reasons: RejectionReason[];
  face: FaceDetection | null;
  timings: StageTimings | null;
}

/** Cosine distances of the strict gate. */
interface GateThresholds {
  /** Within it a face belongs to another subject, in a search of all subjects (1:N). */
  other: number;
  /** Beyond it a face does not belong to its own subject, compared with its references (1:1). */
  own: number;
}

/** An item to add, or its final result. */
type Prepared = Enrollment | EnrollmentResult | FaceError;

/** Turns images and embeddings into references. */
export class Enroller {
  /** Strict enrollments by gallery, since a face can be near any of its subjects. */
  private readonly locks = new KeyedLock();

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly retention: Retention,
    /** Whether the strict gate may search all subjects (1:N). */
    private readonly isIdentificationOn: boolean,
  ) {}

  /** See `GalleryService.enroll`. */
  async enroll(
    gallery: Gallery,
    items: readonly EnrollmentItem[],
    options: EnrollOptions,
  ): Promise<(EnrollmentResult | FaceError)[]> {
    const { id: galleryId } = gallery;
    const { idempotencyKey: key, enrollmentGate: gate = gallery.enrollmentGate } = options;
    const embedder = embedderOf(this.model, gallery);
    // Without a comparison, the card needs no threshold.
    const thresholds = gate === 'strict' ? this.thresholdsOf(gallery, embedder) : { other: 0, own: 0 };
    const atATime = items.some(({ input }) => isImage(input)) ? IMAGES_AT_A_TIME : EMBEDDINGS_AT_A_TIME;
    const results: (EnrollmentResult | FaceError)[] = [];
    for (let start = 0; start < items.length; start += atATime) {
      const prepared = await Promise.all(
        items.slice(start, start + atATime).map((item, i) => {
          const id = key == null ? randomUUID() : derivedId(galleryId, key, start + i);
          return orError(this.prepare(gallery, gate, item, id, options));
        }),
      );
      const add =
        gate === 'strict'
          ? this.locks.run(galleryId, () => this.addOneByOne(gallery, prepared, thresholds))
          : this.add(galleryId, prepared);
      results.push(...(await add));
    }
    return results;
  }

  private thresholdsOf(gallery: Gallery, embedder: EmbedderInfo): GateThresholds {
    const defaults = this.model.decisionDefaults;
    const { subjectCount } = gallery;
    return {
      other: identificationThreshold(embedder, subjectCount, [gallery], defaults).threshold,
      own: verificationThreshold(embedder, 'cosine', [gallery], defaults).threshold,
    };
  }

  /** Prepares an item to be added, or recognizes one that an earlier call with the same key has added. */
  private async prepare(
    gallery: Gallery,
    gate: EnrollmentGate,
    { subjectId, input, metadata = {}, expiresAt = null }: EnrollmentItem,
    id: string,
    options: EnrollOptions,
  ): Promise<Enrollment | EnrollmentResult> {
    assertValid({
      subjectId: subjectIdProblem(subjectId),
      metadata: metadataProblem(metadata),
      expiresAt: rightsProblems({ expiresAt }).expiresAt,
    });
    const known = options.idempotencyKey == null ? null : await this.referenceOf(gallery.id, subjectId, id);
    if (known != null && isImage(input)) {
      // Neither processed nor judged again, as gate and gallery may have changed since. So no worker can hash it.
      const isSame = isSameContent(known, { imageHash: hashOf(input), metadata, expiresAt });
      return repeated(gallery.id, known, isSame);
    }
    const isGateOn = gate !== 'off';
    const { faceSelection = isGateOn ? 'single' : 'best' } = options;
    const embedder = embedderOf(this.model, gallery);
    const seen = await representInput(this.model, input, embedder, {
      ...representOptions(options, embedder),
      // The gate reports several faces itself, together with its other reasons.
      faceSelection: isGateOn && faceSelection === 'single' ? 'best' : faceSelection,
      quality: true,
      hash: true,
      crop: gallery.keepCrops,
    });
    const [{ embedding, detection, quality: pixels, crop }] = seen.faces;
    if (known != null) {
      const isSame = isSameContent(known, { imageHash: null, metadata, expiresAt });
      return repeated(gallery.id, known, isSame && isEqual(known.embedding, embedding));
    }
    // A custom FaceModel may return no hash.
    const imageHash = isImage(input) ? (seen.imageHash ?? hashOf(input)) : null;
    const quality = detection == null ? null : faceQuality(detection, pixels, seen.image?.rotation);
    const reasons: RejectionReason[] = [];
    if (isGateOn && faceSelection === 'single' && seen.faceCount > 1) reasons.push('SEVERAL_FACES');
    if (isGateOn && quality != null) reasons.push(...qualityReasons(quality, GATE_LIMITS[gate]));
    return {
      reference: { id, subjectId, embedding, metadata, quality, imageHash, expiresAt, crop },
      reasons,
      face: detection,
      timings: seen.timings,
    };
  }

  /** Adds all items without a reason to reject them, together. */
  private async add(
    galleryId: string,
    prepared: readonly Prepared[],
  ): Promise<(EnrollmentResult | FaceError)[]> {
    const passing = prepared.filter(isEnrollment).filter(({ reasons }) => reasons.length === 0);
    const added = await this.store.addReferences(
      galleryId,
      passing.map(({ reference }) => reference),
    );
    const outcomes = new Map(passing.map((enrollment, i) => [enrollment, added[i]]));
    return Promise.all(
      prepared.map(async (item) => {
        if (!isEnrollment(item)) return item;
        const outcome = outcomes.get(item);
        if (outcome == null) return rejected(item);
        if (outcome instanceof FaceError) return outcome;
        const isConflict =
          outcome.status === 'existing' && !(await this.isSame(galleryId, item.reference, outcome.reference));
        if (isConflict) return idempotencyConflict(galleryId);
        return { ...outcome, face: item.face, timings: item.timings };
      }),
    );
  }

  /** Adds items one after the other; each is compared with those added before. */
  private async addOneByOne(
    gallery: Gallery,
    prepared: readonly Prepared[],
    thresholds: GateThresholds,
  ): Promise<(EnrollmentResult | FaceError)[]> {
    const results: (EnrollmentResult | FaceError)[] = [];
    for (const item of prepared) {
      if (isEnrollment(item)) {
        item.reasons.push(...(await this.galleryReasons(gallery, item.reference, thresholds)));
      }
      results.push(...(await this.add(gallery.id, [item])));
    }
    return results;
  }

  /** Reasons of the strict gate to reject a face, given the references in the gallery. */
  private async galleryReasons(
    gallery: Gallery,
    { subjectId, embedding }: NewReference,
    thresholds: GateThresholds,
  ): Promise<RejectionReason[]> {
    // Two hits, as one may be the subject itself.
    const [nearest] = !this.isIdentificationOn
      ? [[]]
      : await this.retention.search(gallery, [embedding], {
          limit: 2,
          minSimilarity: minSimilarityOf(thresholds.other),
        });
    const isNearAnother = nearest.some(
      (hit) => !isSameSubject(hit.subjectId, subjectId) && distanceOf(hit) <= thresholds.other,
    );
    const own = (await nullOn('SUBJECT_NOT_FOUND', this.retention.listReferences(gallery, subjectId))) ?? [];
    const isFar = (reference: StoredReference) =>
      compareEmbeddings({ embedding, norm: 1 }, { embedding: reference.embedding, norm: 1 }, 'cosine')
        .distance > thresholds.own;
    const reasons: RejectionReason[] = [];
    if (isNearAnother) reasons.push('NEAR_ANOTHER_SUBJECT');
    if (own.length > 0 && own.every(isFar)) reasons.push('FAR_FROM_OWN_REFERENCES');
    return reasons;
  }

  /** `null` if the subject has no reference with this id. */
  private referenceOf(galleryId: string, subjectId: string, id: string): Promise<StoredReference | null> {
    const reference = this.store.getReference(galleryId, subjectId, id);
    return nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', reference));
  }

  /** Whether the stored reference equals the wanted one in subject, image or embedding, metadata and expiry. */
  private async isSame(galleryId: string, wanted: NewReference, known: Reference): Promise<boolean> {
    if (
      !isSameSubject(known.subjectId, wanted.subjectId) ||
      !isSameContent(known, { expiresAt: null, ...wanted })
    )
      return false;
    if (wanted.imageHash != null) return true;
    const stored = await this.referenceOf(galleryId, known.subjectId, known.id);
    return stored != null && isEqual(stored.embedding, wanted.embedding);
  }
}

function isEnrollment(item: Prepared): item is Enrollment {
  return 'reasons' in item;
}

/**
 * Quality of a face, as stored with its reference.
 *
 * @param rotation - clockwise rotation of the image in degrees: the pose refers to the rotated image.
 */
export function faceQuality(
  { box, landmarks, detectionScore }: FaceDetection,
  pixels: PixelQuality | null,
  rotation = 0,
): FaceQuality {
  return {
    detectionScore,
    faceSizePx: Math.min(box.width, box.height),
    sharpness: pixels?.sharpness ?? null,
    brightness: pixels?.brightness ?? null,
    pose: landmarks == null ? null : turnedPose(poseOf(landmarks), rotation),
  };
}

function turnedPose(pose: FacePose, rotation: number): FacePose {
  const roll = pose.roll + rotation;
  return { ...pose, roll: roll > 180 ? roll - 360 : roll };
}

function rejected({ reasons, reference }: Enrollment): FaceError {
  return new FaceError(
    'REFERENCE_REJECTED',
    `The enrollment gate rejected the face: ${reasons.join(', ')}.`,
    {
      reasons,
      quality: reference.quality,
    },
  );
}

/** A repeated call gets the same ids: a sha256 formatted as a UUID (version 8, RFC 9562). */
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

function isImage(input: VerificationInput): input is Uint8Array {
  return ArrayBuffer.isView(input);
}

function hashOf(image: Uint8Array): string {
  return createHash('sha256').update(image).digest('hex');
}

/** Turns an error of the item into its result; throws errors of the whole call. */
function orError<T>(work: Promise<T>): Promise<T | FaceError> {
  return work.catch((error: unknown) => {
    if (error instanceof FaceError && !CALL_LEVEL_ERRORS.includes(error.code)) return error;
    throw error;
  });
}

type Content = Pick<Reference, 'imageHash' | 'metadata' | 'expiresAt'>;

/** Whether the wanted content equals the stored one, except for the embedding. */
function isSameContent(known: Content, wanted: Content): boolean {
  return (
    known.imageHash === wanted.imageHash &&
    known.expiresAt === wanted.expiresAt &&
    // Spread, as one of them may have no prototype, which isDeepStrictEqual compares.
    isDeepStrictEqual({ ...known.metadata }, { ...wanted.metadata })
  );
}

function isEqual(a: Float32Array, b: Float32Array): boolean {
  return a.every((value, i) => value === b[i]);
}

/** @throws {FaceError} IDEMPOTENCY_CONFLICT if the content differs. */
function repeated(
  galleryId: string,
  { embedding: _, ...reference }: StoredReference,
  isSame: boolean,
): EnrollmentResult {
  if (!isSame) throw idempotencyConflict(galleryId);
  return { status: 'existing', reference, sameImage: [], face: null, timings: null };
}

function idempotencyConflict(galleryId: string): FaceError {
  return new FaceError(
    'IDEMPOTENCY_CONFLICT',
    'The idempotency key was already used for different content.',
    {
      galleryId,
    },
  );
}
