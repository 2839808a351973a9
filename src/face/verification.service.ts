import { Injectable } from '@nestjs/common';
import { FaceError } from '../errors';
import { compareEmbeddings } from '../pipeline/embed/compare-embeddings';
import type { FaceDetection, Metric, StageTimings } from '../pipeline/face.types';
import { detectorOf, type EmbedderInfo, FaceModel, type RepresentCallOptions } from './face-model';
import {
  type ComparedImage,
  type InputFace,
  type RepresentedInput,
  representInput,
  type VerificationInput,
} from './represent-input';
import { decide, type Decision, falseMatchRate, verificationThreshold } from './thresholds';

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
   *
   * @example
   * const { verified, distance, threshold } = await verification.verify(doorPhoto, badgePhoto, { faceSelection: 'single' });
   * // verified: true, distance: 0.31, threshold: 0.554
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
