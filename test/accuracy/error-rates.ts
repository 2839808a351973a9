/** Similarities of labelled pairs; an undetected face gives -Infinity, so that the pair counts as rejected. */
export interface ScoredPairs {
  mated: number[];
  nonMated: number[];
}

/**
 * Equal error rate: where the share of accepted non-mated pairs (FMR) meets the share of rejected mated pairs (FNMR).
 *
 * @returns the mean of both at the threshold where they are closest, as a fraction, and that similarity threshold.
 */
export function equalErrorRate({ mated, nonMated }: ScoredPairs): { eer: number; minSimilarity: number } {
  const pairs = [
    ...mated.map((s) => ({ s, isMated: true })),
    ...nonMated.map((s) => ({ s, isMated: false })),
  ];
  pairs.sort((a, b) => b.s - a.s);
  let accepted = 0;
  let falselyAccepted = 0;
  let best = { gap: Infinity, eer: 1, minSimilarity: NaN };
  for (const { s, isMated } of pairs) {
    if (isMated) accepted++;
    else falselyAccepted++;
    const fnmr = 1 - accepted / mated.length;
    const fmr = falselyAccepted / nonMated.length;
    const gap = Math.abs(fnmr - fmr);
    if (gap < best.gap) best = { gap, eer: (fnmr + fmr) / 2, minSimilarity: s };
  }
  return best;
}

/** FMR and FNMR when every pair at or above a similarity is accepted. */
export function ratesAt(
  { mated, nonMated }: ScoredPairs,
  minSimilarity: number,
): { fmr: number; fnmr: number } {
  const share = (values: number[]) => values.filter((s) => s >= minSimilarity).length / values.length;
  return { fmr: share(nonMated), fnmr: 1 - share(mated) };
}
