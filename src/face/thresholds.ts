import { FaceError } from '../errors';
import type { CardCalibration, CardEmbedding } from '../models/model-card';
import { thresholdsFromCosine } from '../pipeline/embed/compare-embeddings';
import type { Metric } from '../pipeline/face.types';

/*
 * The one place where error rates become distances and distances become decisions.
 */

/** Outcome of a comparison of two faces. */
export const DECISIONS = ['match', 'review', 'no_match'] as const;
export type Decision = (typeof DECISIONS)[number];

/** Range of `targetFmr` and `targetFpir`, inclusive: that of a calibration. */
export const TARGET_RANGE = [1e-6, 0.5] as const;
/** Range of `reviewMargin` as an option of the module, inclusive. */
export const REVIEW_MARGIN_RANGE = [0, 2] as const;

/** Decision parameters where neither the call nor the gallery sets any. */
export interface DecisionDefaults {
  /** False match rate of a comparison 1:1, {@link TARGET_RANGE}. */
  targetFmr: number;
  /** Largest share of searches for strangers that find a candidate (false positive identification rate), {@link TARGET_RANGE}. */
  targetFpir: number;
  /** Distances within `threshold ± reviewMargin` get the decision `review`, in the unit of the metric; 0: none does. */
  reviewMargin: number;
}

export const DEFAULT_DECISION: Readonly<DecisionDefaults> = Object.freeze({
  // Provisional.
  targetFmr: 5e-5,
  targetFpir: 1e-2,
  reviewMargin: 0,
});

/** Facts of an embedder that determine its thresholds. */
export interface ThresholdSource {
  name: string;
  /** {@link defaultDistances} at the default rate. */
  maxDistances: Partial<Record<Metric, number>>;
  /** `null` where its card has none. */
  calibration: CardCalibration | null;
}

/** Requested threshold or rate of a comparison 1:1; absent or `null`: not requested. */
export interface VerificationTarget {
  /** Largest distance, in the unit of the metric, inclusive. */
  threshold?: number | null;
  targetFmr?: number | null;
}

/** Requested threshold or rate of a search 1:N, by cosine distance; absent or `null`: not requested. */
export interface IdentificationTarget {
  /** Largest cosine distance, [0, 2], inclusive. */
  threshold?: number | null;
  targetFpir?: number | null;
}

/**
 * The least similarity at which strangers match no more often than a rate, by linear interpolation of log10(FMR) over the
 * similarity.
 *
 * @param fmr - rates beyond the points of the calibration are taken as its nearest point.
 * @returns cosine similarity, [-1, 1].
 */
export function similarityAt({ points }: CardCalibration, fmr: number): number {
  const next = points.findIndex((point) => point.fmr <= fmr);
  if (next === 0) return points[0].minSimilarity;
  if (next < 0) return points[points.length - 1].minSimilarity;
  const [a, b] = [points[next - 1], points[next]];
  const part = Math.log(fmr / a.fmr) / Math.log(b.fmr / a.fmr);
  return a.minSimilarity + part * (b.minSimilarity - a.minSimilarity);
}

/**
 * How often two strangers are at least this similar: the inverse of {@link similarityAt}.
 *
 * @param similarity - cosine, [-1, 1].
 * @returns [1e-6, 0.5]. The ends stand for "at most one in a million" and for "at least every second pair".
 */
export function falseMatchRate({ points }: CardCalibration, similarity: number): number {
  const next = points.findIndex(({ minSimilarity }) => minSimilarity >= similarity);
  if (next === 0) return points[0].fmr;
  if (next < 0) return points[points.length - 1].fmr;
  const [a, b] = [points[next - 1], points[next]];
  const part = (similarity - a.minSimilarity) / (b.minSimilarity - a.minSimilarity);
  return a.fmr * (b.fmr / a.fmr) ** part;
}

/**
 * The false match rate of one comparison at which a search for a stranger among N subjects finds a candidate no more often than
 * `fpir`: 1 - (1 - fpir)^(1/N), from FPIR = 1 - (1 - FMR)^N for independent comparisons.
 *
 * @see ISO/IEC 19795-1, which relates the two rates so for one comparison with each subject.
 * @param subjectCount - N; 0 counts as 1.
 */
export function fmrOfFpir(fpir: number, subjectCount: number): number {
  return -Math.expm1(Math.log1p(-fpir) / Math.max(1, subjectCount));
}

/**
 * Default thresholds: by the calibration at the default rate, where there is one; else those of the card. `euclidean` does not
 * follow from the similarity: its threshold is always that of the card.
 */
export function defaultDistances(
  { thresholds, calibration }: Pick<CardEmbedding, 'thresholds' | 'calibration'>,
  targetFmr: number,
): Partial<Record<Metric, number>> {
  const fixed = Object.fromEntries(
    Object.entries(thresholds ?? {}).flatMap(([metric, threshold]) =>
      threshold == null ? [] : [[metric, threshold.maxDistance]],
    ),
  ) as Partial<Record<Metric, number>>;
  if (calibration != null) return { ...fixed, ...distancesAt(calibration, targetFmr) };
  return fixed.cosine == null ? fixed : { ...thresholdsFromCosine(fixed.cosine), ...fixed };
}

/**
 * The threshold of a comparison 1:1 and the rate that it follows from. The first target with a value counts, and in it a
 * threshold before a rate; then the default rate; without a calibration the fixed distance of the card.
 *
 * @param targets - that of the call, then that of the gallery.
 * @returns `targetFmr`: `null` where a distance decides.
 * @throws {FaceError} PARAMETER_INVALID for a rate where the embedder has no calibration or the metric is `euclidean`, and
 * where no threshold is given and the card has none.
 */
export function verificationThreshold(
  embedder: ThresholdSource,
  metric: Metric,
  targets: readonly VerificationTarget[],
  defaults: Pick<DecisionDefaults, 'targetFmr'>,
): { threshold: number; targetFmr: number | null } {
  for (const { threshold, targetFmr } of targets) {
    if (threshold != null) return { threshold, targetFmr: null };
    if (targetFmr == null) continue;
    const calibration = requireCalibration(embedder, 'targetFmr');
    if (metric === 'euclidean') {
      throw invalid('targetFmr', 'does not apply to metric euclidean, which needs a threshold');
    }
    return { threshold: distancesAt(calibration, targetFmr)[metric], targetFmr };
  }
  const isCalibrated = embedder.calibration != null && metric !== 'euclidean';
  return {
    threshold: requireDefaultDistance(embedder, metric),
    targetFmr: isCalibrated ? defaults.targetFmr : null,
  };
}

/**
 * The threshold of a search 1:N, as cosine distance, and the rate that it follows from. In the order of
 * {@link verificationThreshold}. A rate that asks for more than the calibration covers gets the threshold at its last point.
 *
 * @param subjectCount - N, of the gallery: the threshold falls as it grows.
 * @throws {FaceError} PARAMETER_INVALID for a rate where the embedder has no calibration, and where no threshold is
 * given and the card has none.
 */
export function identificationThreshold(
  embedder: ThresholdSource,
  subjectCount: number,
  targets: readonly IdentificationTarget[],
  defaults: Pick<DecisionDefaults, 'targetFpir'>,
): { threshold: number; targetFpir: number | null } {
  const at = (calibration: CardCalibration, fpir: number) => ({
    threshold: distancesAt(calibration, fmrOfFpir(fpir, subjectCount)).cosine,
    targetFpir: fpir,
  });
  for (const { threshold, targetFpir } of targets) {
    if (threshold != null) return { threshold, targetFpir: null };
    if (targetFpir != null) return at(requireCalibration(embedder, 'targetFpir'), targetFpir);
  }
  if (embedder.calibration != null) return at(embedder.calibration, defaults.targetFpir);
  return { threshold: requireDefaultDistance(embedder, 'cosine'), targetFpir: null };
}

/** @param reviewMargin - in the unit of the distance, 0 or more; 0: nothing is for review. */
export function decide(distance: number, threshold: number, reviewMargin: number): Decision {
  if (reviewMargin > 0 && Math.abs(distance - threshold) <= reviewMargin) return 'review';
  return distance <= threshold ? 'match' : 'no_match';
}

/**
 * The calibration of an embedder, for a parameter that needs it.
 *
 * @throws {FaceError} PARAMETER_INVALID naming the parameter, where there is none.
 */
export function requireCalibration({ name, calibration }: ThresholdSource, field: string): CardCalibration {
  if (calibration != null) return calibration;
  throw invalid(
    field,
    `needs a calibration, and the card of ${name} has none: run \`likeness calibrate\`, or give a threshold`,
  );
}

/** Thresholds of the metrics that follow from the similarity. */
function distancesAt(
  calibration: CardCalibration,
  fmr: number,
): Record<Exclude<Metric, 'euclidean'>, number> {
  const cosine = 1 - similarityAt(calibration, fmr);
  return { cosine, ...thresholdsFromCosine(cosine) };
}

/** The largest distance that verifies where nothing else is asked for; `null` where the metric has none. */
export function defaultDistance(
  { maxDistances }: Pick<ThresholdSource, 'maxDistances'>,
  metric: Metric,
): number | null {
  return maxDistances[metric] ?? null;
}

/**
 * As {@link defaultDistance}, for a call that needs one.
 *
 * @throws {FaceError} PARAMETER_INVALID where the metric has none.
 */
export function requireDefaultDistance(embedder: ThresholdSource, metric: Metric): number {
  const threshold = defaultDistance(embedder, metric);
  if (threshold != null) return threshold;
  const { name } = embedder;
  throw new FaceError(
    'PARAMETER_INVALID',
    `A threshold is required for metric ${metric}: the card of ${name} has none.`,
    { fields: { threshold: `required for metric ${metric} with ${name}` } },
  );
}

function invalid(field: string, problem: string): FaceError {
  return new FaceError('PARAMETER_INVALID', `Invalid: ${field} ${problem}.`, {
    fields: { [field]: problem },
  });
}
