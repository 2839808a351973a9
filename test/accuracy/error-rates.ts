/** Similarities of labeled pairs; an undetected face gives -Infinity, so that the pair counts as rejected. */
export interface ScoredPairs {
  mated: number[];
  nonMated: number[];
}

/** What a threshold does to labeled pairs. */
export interface ErrorCounts {
  /** Non-mated pairs that are accepted. */
  falseMatches: number;
  nonMated: number;
  /** Mated pairs that are rejected. */
  falseNonMatches: number;
  mated: number;
  /** False match rate and false non-match rate, as fractions (ISO/IEC 19795-1). */
  fmr: number;
  fnmr: number;
}

/**
 * Equal error rate: where the share of accepted non-mated pairs (FMR) meets the share of rejected mated pairs (FNMR).
 * Pairs of equal similarity are accepted together, as one threshold accepts them.
 *
 * @returns the mean of both at the threshold where they are closest, as a fraction, and that similarity threshold.
 */
export function equalErrorRate({ mated, nonMated }: ScoredPairs): { eer: number; minSimilarity: number } {
  const matedDown = descending(mated);
  const nonMatedDown = descending(nonMated);
  let best = { gap: Infinity, eer: 1, minSimilarity: NaN };
  let accepted = 0;
  let falselyAccepted = 0;
  while (accepted < matedDown.length || falselyAccepted < nonMatedDown.length) {
    const minSimilarity = Math.max(
      matedDown[accepted] ?? -Infinity,
      nonMatedDown[falselyAccepted] ?? -Infinity,
    );
    while (matedDown[accepted] >= minSimilarity) accepted++;
    while (nonMatedDown[falselyAccepted] >= minSimilarity) falselyAccepted++;
    // What has no face is accepted at no threshold.
    if (minSimilarity === -Infinity) break;
    const fnmr = 1 - accepted / matedDown.length;
    const fmr = falselyAccepted / nonMatedDown.length;
    const gap = Math.abs(fnmr - fmr);
    if (gap < best.gap) best = { gap, eer: (fnmr + fmr) / 2, minSimilarity };
  }
  return { eer: best.eer, minSimilarity: best.minSimilarity };
}

/** The errors when every pair at or above a similarity is accepted. */
export function errorsAt({ mated, nonMated }: ScoredPairs, minSimilarity: number): ErrorCounts {
  const accepted = (values: number[]) => values.filter((similarity) => similarity >= minSimilarity).length;
  const falseMatches = accepted(nonMated);
  const falseNonMatches = mated.length - accepted(mated);
  return {
    falseMatches,
    nonMated: nonMated.length,
    falseNonMatches,
    mated: mated.length,
    fmr: falseMatches / nonMated.length,
    fnmr: falseNonMatches / mated.length,
  };
}

/**
 * True accept rate at a false match rate: the share of mated pairs that are accepted at the loosest threshold that accepts
 * at most this share of the non-mated pairs. Of non-mated pairs of equal similarity a threshold accepts all or none, so
 * where a tie does not fit as a whole none of it is accepted.
 *
 * @param maxFmr - fraction.
 * @returns the rate as a fraction, and the similarity above which pairs are accepted (the pair at it is not).
 */
export function trueAcceptRateAt(
  { mated, nonMated }: ScoredPairs,
  maxFmr: number,
): { tar: number; accepted: number; above: number } {
  // The share times the count is whole in exact arithmetic where it is within rounding of a whole number here.
  const allowed = Math.floor(maxFmr * nonMated.length + 1e-9);
  const above = descending(nonMated)[allowed] ?? -Infinity;
  const accepted = mated.filter((similarity) => similarity > above).length;
  return { tar: accepted / mated.length, accepted, above };
}

function descending(values: number[]): Float64Array {
  return Float64Array.from(values).sort().reverse();
}
