import { Injectable } from '@nestjs/common';
import { FaceError } from '../errors';
import {
  assertEmbedding,
  compareEmbeddings,
  type NormedEmbedding,
} from '../pipeline/embed/compare-embeddings';
import type {
  FaceDetection,
  Metric,
  PixelQuality,
  RepresentedFace,
  StageTimings,
} from '../pipeline/face.types';
import { detectorOf, type EmbedderInfo, FaceModel, type RepresentCallOptions } from './face-model';
import { assertFace } from './no-face';
import { assertPresented } from './presentation-attack';
import { decide, type Decision, falseMatchRate, verificationThreshold } from './thresholds';

/** An embedding made earlier, standing in for an image. */
export interface EmbeddingInput {
  /** D numbers, any length above zero; unit length as {@link FaceModel.represent} returns it. */
  embedding: ArrayLike<number>;
  /** The contract it was made under. */
  contract: string;
  /** Length of the raw vector; needed by metric `euclidean` where the embedding is a unit vector. @defaultValue 1 */
  embeddingNorm?: number;
}

/** One side of a verification: an encoded image or an embedding. */
export type VerificationInput = Uint8Array | EmbeddingInput;

export interface VerifyOptions extends RepresentCallOptions {
  /** @defaultValue `'cosine'` */
  metric?: Metric;
  /** Largest distance that verifies, inclusive, in the unit of the metric; 0 is allowed. @defaultValue by `targetFmr` */
  threshold?: number;
  /**
   * False match rate, [1e-6, 0.5]: the threshold is the one at which strangers verify so often, by the embedder's calibration.
   * Not read where a threshold is given. @defaultValue that of the module; for embedders without a calibration the threshold
   * of the card
   */
  targetFmr?: number;
  /** Distances within `threshold ± reviewMargin` are for review, in the unit of the metric. @defaultValue that of the module */
  reviewMargin?: number;
}

/** Reasons for which a pair never verifies. */
export const REFUSAL_REASONS = ['no_face'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Decision of a comparison, and its certainty. */
export interface DecisionResult {
  /** `review` where the distance is within `threshold ± reviewMargin`; else as `verified`. */
  decision: Decision;
  /**
   * How often two strangers are at least this similar, by the calibration of the embedder, [1e-6, 0.5]: its ends stand for "at
   * most" and "at least". Of one pair: with several faces or references the closest of several pairs counts. `null` where the
   * embedder has no calibration, or a face was not aligned.
   */
  falseMatchRate: number | null;
  /** The false match rate that the threshold follows from; `null` where a threshold decided. */
  targetFmr: number | null;
  /** `no_face`: neither image has an aligned face, so that nothing was compared; `null` where the distance decided. */
  reason: RefusalReason | null;
}

/** Of an image as its file shows it (EXIF applied), in pixels. */
export interface ImageSize {
  imageWidth: number;
  imageHeight: number;
}

/** An image whose faces were compared. */
export interface ComparedImage extends ImageSize {
  /** Rotation that made its faces upright, in degrees clockwise: 0, 90, 180 or 270. */
  rotation: number;
}

/** Answer of {@link VerificationService.verify}. */
export interface VerificationResult extends DecisionResult {
  /** `distance <= threshold`; false wherever `reason` is given. */
  verified: boolean;
  /** In the unit of `metric`. */
  distance: number;
  /** Cosine similarity, [-1, 1], for every metric. */
  similarity: number;
  threshold: number;
  metric: Metric;
  /** The compared face; `null` for an embedding. */
  probe: FaceDetection | null;
  reference: FaceDetection | null;
  /** Sizes and turns of the images; `null` for an embedding. */
  images: { probe: ComparedImage | null; reference: ComparedImage | null };
  /** `null` without an image, and where no detector ran. */
  detector: string | null;
  embedder: string;
  contract: string;
  /** Per side; `null` for an embedding. */
  timings: { probe: StageTimings | null; reference: StageTimings | null };
}

/** A face of an image, or an embedding in its place. */
export interface InputFace extends NormedEmbedding {
  /** `null` for an embedding. */
  detection: FaceDetection | null;
  /** `null` for an embedding, and where quality was not requested. */
  quality: PixelQuality | null;
  /** See {@link RepresentedFace.crop}; `null` for an embedding, and where it was not requested. */
  crop: Uint8Array | null;
}

/** The faces of an input: one or more. */
export interface RepresentedInput {
  faces: InputFace[];
  /** Faces found, before selection; 1 for an embedding. */
  faceCount: number;
  /** No aligned face was found, and the whole image stands in for it (`wholeImage: 'ifNoFace'`). */
  isFaceless: boolean;
  /** `null` for an embedding. */
  image: ComparedImage | null;
  /** `null` for an embedding. */
  timings: StageTimings | null;
}

/**
 * 1:1 comparison of two faces.
 *
 * @publicApi
 */
@Injectable()
export class VerificationService {
  constructor(private readonly model: FaceModel) {}

  /**
   * Compares a probe with a reference and decides. Both images are represented at the same time.
   *
   * Several faces: see `faceSelection` (default `best`); with `all` the closest pair is compared.
   *
   * @throws {FaceError} FACE_NOT_DETECTED, PRESENTATION_ATTACK_SUSPECTED under `presentationAttack: 'require'` and all that
   * {@link FaceModel.represent} throws, with `details.field` of
   * `probe` or `reference`; EMBEDDING_INVALID and EMBEDDING_CONTRACT_MISMATCH for embeddings; PARAMETER_INVALID where
   * there is no threshold, and for `targetFmr` where the embedder has no calibration or the metric is `euclidean`.
   */
  async verify(
    probe: VerificationInput,
    reference: VerificationInput,
    options: VerifyOptions = {},
  ): Promise<VerificationResult> {
    const embedder = this.model.embedder(options.embedder, options.align);
    const metric = options.metric ?? 'cosine';
    const defaults = this.model.decisionDefaults;
    const { threshold, targetFmr } = verificationThreshold(embedder, metric, [options], defaults);
    // Where one side fails, the other's work is dropped if it still waits.
    const failed = new AbortController();
    const signal = options.signal == null ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
    const side = async (input: VerificationInput, field: 'probe' | 'reference') => {
      try {
        return await this.side(input, field, embedder, { ...options, signal });
      } catch (error) {
        failed.abort();
        throw error;
      }
    };
    const [probeSide, referenceSide] = await Promise.all([
      side(probe, 'probe'),
      side(reference, 'reference'),
    ]);
    const pairs = probeSide.faces.flatMap((a) =>
      referenceSide.faces.map((b) => ({ a, b, ...compareEmbeddings(a, b, metric) })),
    );
    const closest = pairs.reduce((best, pair) => (pair.distance < best.distance ? pair : best));
    const hasImage = probeSide.timings != null || referenceSide.timings != null;
    const isRefused = probeSide.isFaceless && referenceSide.isFaceless;
    return {
      ...decisionResult(closest, threshold, options.reviewMargin ?? defaults.reviewMargin, isRefused),
      distance: closest.distance,
      similarity: closest.similarity,
      falseMatchRate: rateOf(closest.similarity, embedder, [closest.a, closest.b], options.align),
      threshold,
      targetFmr,
      metric,
      probe: closest.a.detection,
      reference: closest.b.detection,
      images: { probe: probeSide.image, reference: referenceSide.image },
      detector: hasImage ? detectorOf(this.model, options) : null,
      embedder: embedder.name,
      contract: embedder.contract,
      timings: { probe: probeSide.timings, reference: referenceSide.timings },
    };
  }

  private async side(
    input: VerificationInput,
    field: 'probe' | 'reference',
    embedder: EmbedderInfo,
    options: VerifyOptions,
  ): Promise<RepresentedInput> {
    try {
      return await representInput(this.model, input, embedder, options);
    } catch (error) {
      throw error instanceof FaceError ? error.withDetails({ field, ...error.details }) : error;
    }
  }
}

/**
 * Finds and embeds the faces of an image, or checks an embedding and brings it to unit length.
 *
 * @param options - `faceSelection`: default `best`; read for images only, like all the others.
 * @throws {FaceError} FACE_NOT_DETECTED, PRESENTATION_ATTACK_SUSPECTED and all that {@link FaceModel.represent} throws;
 * EMBEDDING_INVALID and EMBEDDING_CONTRACT_MISMATCH for embeddings.
 */
export async function representInput(
  model: FaceModel,
  input: VerificationInput,
  embedder: EmbedderInfo,
  options: RepresentCallOptions,
): Promise<RepresentedInput> {
  if (!ArrayBuffer.isView(input)) {
    return {
      faces: [embeddingFace(input, embedder)],
      faceCount: 1,
      isFaceless: false,
      image: null,
      timings: null,
    };
  }
  const { presentationAttack = model.presentationAttack } = options;
  const result = await model.represent(input, {
    ...options,
    presentationAttack,
    embedder: embedder.name,
    faceSelection: options.faceSelection ?? 'best',
  });
  assertFace(result);
  const { faces, faceCount, imageWidth, imageHeight, rotation, timings } = result;
  assertPresented(faces, presentationAttack);
  return {
    faces: faces.map(representedFace),
    faceCount,
    isFaceless: options.wholeImage === 'ifNoFace' && faces[0].landmarks == null,
    image: { imageWidth, imageHeight, rotation },
    timings,
  };
}

function representedFace({
  embedding,
  embeddingNorm,
  quality,
  crop,
  ...detection
}: RepresentedFace): InputFace {
  return { embedding, norm: embeddingNorm, quality: quality ?? null, crop: crop ?? null, detection };
}

function embeddingFace(input: EmbeddingInput, embedder: EmbedderInfo): InputFace {
  if (input.contract !== embedder.contract) {
    throw new FaceError(
      'EMBEDDING_CONTRACT_MISMATCH',
      `Expected an embedding of contract ${embedder.contract} (${embedder.name}) but received one of another contract.`,
      { expectedContract: embedder.contract },
    );
  }
  const { unit, norm } = assertEmbedding(input.embedding, embedder.dimensions);
  const { embeddingNorm = 1 } = input;
  if (!(embeddingNorm > 0 && embeddingNorm < Infinity)) {
    throw new FaceError('EMBEDDING_INVALID', 'Expected a finite number above 0 for embeddingNorm.');
  }
  return { embedding: unit, norm: norm * embeddingNorm, detection: null, quality: null, crop: null };
}

/** Decision on a distance; a refused pair never verifies. */
export function decisionResult(
  { distance }: { distance: number },
  threshold: number,
  reviewMargin: number,
  isRefused: boolean,
): Pick<VerificationResult, 'verified' | 'decision' | 'reason'> {
  if (isRefused) return { verified: false, decision: 'no_match', reason: 'no_face' };
  return {
    verified: distance <= threshold,
    decision: decide(distance, threshold, reviewMargin),
    reason: null,
  };
}

/** {@link falseMatchRate}, or `null` for faces that are not aligned: the calibration was made with aligned ones. */
export function rateOf(
  similarity: number,
  { calibration }: EmbedderInfo,
  faces: readonly Pick<InputFace, 'detection'>[],
  align = true,
): number | null {
  // An embedding has the contract of aligned faces, so its face counts as aligned.
  const areAligned =
    align && faces.every(({ detection }) => detection == null || detection.landmarks != null);
  return calibration != null && areAligned ? falseMatchRate(calibration, similarity) : null;
}
