import { FaceError } from '../errors';
import { CALIBRATION_FMRS, type CalibrationPoint } from '../models/model-card';
import { nextTurn } from '../turns';

/** Bins per unit of similarity: points have four decimals. */
const BINS_PER_UNIT = 10_000;
const BIN_COUNT = 2 * BINS_PER_UNIT + 1;
/** Fewest false matches for a counted rate: ten have a relative error of a third. */
const MIN_FALSE_MATCHES = 10;
/** Start of the tail to which a line is fitted: this many false matches, and no more than a tenth of all pairs. */
const TAIL_FALSE_MATCHES = 1000;
const TAIL_FMR = 0.1;
/** Fewest pairs of strangers for a calibration: with them FMR 1e-2 is still counted. */
export const MIN_NON_MATED_PAIRS = 1000;
/** Multiplications in one turn of the event loop, about ten milliseconds. */
const SLICE = 1 << 23;

/** A face whose person is known. */
export interface LabeledEmbedding {
  person: string;
  /** Float32Array [D], unit length. */
  embedding: Float32Array;
}

/** Similarities of pairs, counted in bins of 1e-4: the memory does not depend on the number of pairs. */
export class SimilarityHistogram {
  /** Pairs of different people. */
  nonMatedPairs = 0;
  /** Pairs of one person. */
  matedPairs = 0;
  private readonly nonMated = new Float64Array(BIN_COUNT);
  private readonly mated = new Float64Array(BIN_COUNT);

  /** @param similarity - cosine, [-1, 1]. */
  add(similarity: number, isMated: boolean): void {
    const bin = Math.floor((Math.min(1, Math.max(-1, similarity)) + 1) * BINS_PER_UNIT);
    if (isMated) {
      this.mated[bin]++;
      this.matedPairs++;
    } else {
      this.nonMated[bin]++;
      this.nonMatedPairs++;
    }
  }

  /** Adds all pairs of another histogram. */
  addAll(other: SimilarityHistogram): void {
    for (let bin = 0; bin < BIN_COUNT; bin++) {
      this.nonMated[bin] += other.nonMated[bin];
      this.mated[bin] += other.mated[bin];
    }
    this.nonMatedPairs += other.nonMatedPairs;
    this.matedPairs += other.matedPairs;
  }

  /**
   * Error rates if pairs verified from a similarity on.
   *
   * @param minSimilarity - cosine, [-1, 1], to four decimals.
   * @returns rates as fractions; `null` where there are no pairs to count them on.
   */
  ratesAt(minSimilarity: number): { falseMatches: number; fmr: number | null; fnmr: number | null } {
    const bin = Math.round((minSimilarity + 1) * BINS_PER_UNIT);
    const sum = (counts: Float64Array) => counts.subarray(bin).reduce((total, count) => total + count, 0);
    const falseMatches = sum(this.nonMated);
    return {
      falseMatches,
      fmr: this.nonMatedPairs === 0 ? null : falseMatches / this.nonMatedPairs,
      fnmr: this.matedPairs === 0 ? null : 1 - sum(this.mated) / this.matedPairs,
    };
  }

  /**
   * The similarity at each of {@link CALIBRATION_FMRS}.
   *
   * A point is counted where at least {@link MIN_FALSE_MATCHES} pairs of strangers match: its similarity is the least one, to
   * four decimals, from which on no larger share of them than the rate is at least as similar.
   *
   * Beyond that the similarity comes from a straight line of log10(FMR) over the similarity. Its slope is that of least squares
   * over the lower edges of all bins with a pair from which on 10 to 1000 pairs of strangers match, and no more than a tenth of
   * all. Its height is that of the same fit, or that of the last of these edges where this is higher: the line never lies under
   * the last rate that was counted. Rounded up to four decimals.
   *
   * @throws {FaceError} PARAMETER_INVALID where the pairs are too few or too much alike for it.
   */
  points(): CalibrationPoint[] {
    const total = this.nonMatedPairs;
    if (total < MIN_NON_MATED_PAIRS) {
      throw invalid(
        `A calibration needs at least ${MIN_NON_MATED_PAIRS} pairs of different people, but there are ${total}`,
      );
    }
    const matches = this.falseMatches();
    const counted = CALIBRATION_FMRS.map((fmr) => matches.findIndex((count) => count <= fmr * total));
    const points = CALIBRATION_FMRS.map((fmr, i): CalibrationPoint => {
      const isExtrapolated = matches[counted[i]] < MIN_FALSE_MATCHES;
      const minSimilarity = isExtrapolated ? this.extrapolated(fmr, matches) : edgeOf(counted[i]);
      const { falseMatches, fnmr: rate } = this.ratesAt(minSimilarity);
      const fnmr = rate && Math.round(rate * 1e6) / 1e6;
      return { fmr, minSimilarity, falseMatches, nonMatedPairs: total, fnmr, isExtrapolated };
    });
    if (points.some(({ minSimilarity }) => minSimilarity > 1)) {
      throw invalid('The similarity at a false match rate of 1e-6 would lie above 1: take more photos');
    }
    if (points.some(({ minSimilarity }, i) => i > 0 && minSimilarity <= points[i - 1].minSimilarity)) {
      throw invalid('Two false match rates have the same similarity: take more photos');
    }
    return points;
  }

  /** For each bin the pairs of strangers that are in it or above; one more, without any, at the end. */
  private falseMatches(): Float64Array {
    const matches = new Float64Array(BIN_COUNT + 1);
    for (let bin = BIN_COUNT - 1; bin >= 0; bin--) matches[bin] = matches[bin + 1] + this.nonMated[bin];
    return matches;
  }

  private extrapolated(fmr: number, matches: Float64Array): number {
    const total = this.nonMatedPairs;
    const most = Math.min(TAIL_FALSE_MATCHES, TAIL_FMR * total);
    const tail: { x: number; y: number }[] = [];
    for (let bin = 0; bin < BIN_COUNT; bin++) {
      if (this.nonMated[bin] === 0 || matches[bin] > most || matches[bin] < MIN_FALSE_MATCHES) continue;
      tail.push({ x: edgeOf(bin), y: Math.log10(matches[bin] / total) });
    }
    if (tail.length < 2) {
      throw invalid('The similarities of different people differ too little for a calibration');
    }
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const [meanX, meanY] = [mean(tail.map(({ x }) => x)), mean(tail.map(({ y }) => y))];
    const slope =
      mean(tail.map(({ x, y }) => (x - meanX) * (y - meanY))) / mean(tail.map(({ x }) => (x - meanX) ** 2));
    const last = tail[tail.length - 1];
    const height = Math.max(last.y, meanY + slope * (last.x - meanX));
    const similarity = last.x + (Math.log10(fmr) - height) / slope;
    return Math.ceil(similarity * BINS_PER_UNIT) / BINS_PER_UNIT;
  }
}

/**
 * Compares every face with every other one, in slices, between which other work is served.
 *
 * @param onPairs - called with the number of pairs since its last call.
 */
export async function comparePairs(
  faces: readonly LabeledEmbedding[],
  onPairs?: (count: number) => void,
): Promise<SimilarityHistogram> {
  const histogram = new SimilarityHistogram();
  let pairs = 0;
  for (let i = 1; i < faces.length; i++) {
    const a = faces[i];
    for (let j = 0; j < i; j++) {
      const b = faces[j];
      let dot = 0;
      for (let k = 0; k < a.embedding.length; k++) dot += a.embedding[k] * b.embedding[k];
      histogram.add(dot, a.person === b.person);
    }
    pairs += i;
    if (pairs * a.embedding.length < SLICE && i < faces.length - 1) continue;
    onPairs?.(pairs);
    pairs = 0;
    await nextTurn();
  }
  return histogram;
}

/** Lower edge of a bin, exact to its four decimals. */
function edgeOf(bin: number): number {
  return (bin - BINS_PER_UNIT) / BINS_PER_UNIT;
}

function invalid(problem: string): FaceError {
  return new FaceError('PARAMETER_INVALID', `${problem}.`);
}
