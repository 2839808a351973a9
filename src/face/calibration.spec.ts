import { unitVectors } from '../../test/support/random-unit';
import { CALIBRATION_FMRS } from '../models/model-card';
import { comparePairs, MIN_NON_MATED_PAIRS, SimilarityHistogram } from './calibration';

/** Strangers of whom a share of 10^(-10 s) has a similarity of s or more: one in a million 0.6. */
function exponential(count: number, histogram = new SimilarityHistogram()): SimilarityHistogram {
  for (let k = 0; k < count; k++) histogram.add(-Math.log10((k + 0.5) / count) / 10, false);
  return histogram;
}

const refuses = (histogram: SimilarityHistogram, problem: RegExp) =>
  expect(() => histogram.points()).toThrow(
    expect.objectContaining({ code: 'PARAMETER_INVALID', message: expect.stringMatching(problem) }),
  );

describe(SimilarityHistogram.name, () => {
  it('counts what can be counted, and goes on along the line', () => {
    const points = exponential(200_000).points();
    expect(points.map(({ fmr }) => fmr)).toEqual([...CALIBRATION_FMRS]);
    for (const { fmr, minSimilarity } of points) {
      expect(minSimilarity).toBeCloseTo(-Math.log10(fmr) / 10, 2);
    }
    expect(points.map(({ isExtrapolated }) => isExtrapolated)).toEqual([...Array(5).fill(false), true, true]);
    points.forEach(({ falseMatches }, i) => {
      const expected = [1e5, 2e4, 2000, 200, 20, 2, 0][i];
      expect(Math.abs(falseMatches - expected)).toBeLessThanOrEqual(Math.max(1, expected / 100));
    });
    expect(points.every(({ nonMatedPairs }) => nonMatedPairs === 200_000)).toBe(true);
  });

  it('says a similarity from which on no larger share matches, and the least such', () => {
    const histogram = exponential(50_000);
    for (const { fmr, minSimilarity, isExtrapolated } of histogram.points()) {
      if (isExtrapolated) continue;
      expect(histogram.ratesAt(minSimilarity).fmr).toBeLessThanOrEqual(fmr);
      expect(histogram.ratesAt(minSimilarity - 1e-4).fmr).toBeGreaterThan(fmr);
    }
  });

  it('rises, and never falls under what was counted, also where the tail is longer than a line', () => {
    const histogram = exponential(200_000);
    // Relatives: one pair of 5000 lies far out, evenly.
    for (let k = 0; k < 40; k++) histogram.add(0.4 + k / 200, false);
    const points = histogram.points();
    const similarities = points.map(({ minSimilarity }) => minSimilarity);
    expect([...new Set(similarities)].sort((a, b) => a - b)).toEqual(similarities);
    const counted = points.filter(({ isExtrapolated }) => !isExtrapolated);
    expect(points[counted.length].minSimilarity).toBeGreaterThan(0.55);
  });

  it('says which share of the pairs of one person is less similar', () => {
    const histogram = exponential(200_000);
    for (let k = 0; k < 1000; k++) histogram.add(0.2 + k / 2000, true);
    for (const { minSimilarity, fnmr } of histogram.points()) {
      expect(fnmr).toBeCloseTo(Math.max(0, (minSimilarity - 0.2) * 2), 2);
    }
    expect(histogram.ratesAt(0.45).fnmr).toBeCloseTo(0.5, 9);
    expect(histogram.matedPairs).toBe(1000);
    expect(exponential(2000).points()[0].fnmr).toBeNull();
  });

  it('takes the pairs of several sets together', () => {
    const sum = new SimilarityHistogram();
    const halves = [0, 1].map((half) => {
      const histogram = new SimilarityHistogram();
      for (let k = half; k < 20_000; k += 2) histogram.add(-Math.log10((k + 0.5) / 20_000) / 10, false);
      histogram.add(0.5, true);
      return histogram;
    });
    for (const half of halves) sum.addAll(half);
    const whole = exponential(20_000);
    whole.add(0.5, true);
    whole.add(0.5, true);
    expect(sum.points()).toEqual(whole.points());
  });

  it('refuses pairs from which no rate follows', () => {
    refuses(
      exponential(MIN_NON_MATED_PAIRS - 1),
      /at least 1000 pairs of different people, but there are 999/,
    );
    expect(exponential(MIN_NON_MATED_PAIRS).points()).toHaveLength(7);
    const alike = new SimilarityHistogram();
    for (let k = 0; k < 5000; k++) alike.add(0.3, false);
    refuses(alike, /differ too little/);
    const high = new SimilarityHistogram();
    for (let k = 0; k < 2000; k++) high.add(0.98 - k / 2000, false);
    refuses(high, /above 1: take more photos/);
  });

  it('takes similarities that are a little over the ends', () => {
    const histogram = new SimilarityHistogram();
    for (const similarity of [1 + 1e-7, 1, -1, -1 - 1e-7]) histogram.add(similarity, false);
    expect(histogram.ratesAt(1).falseMatches).toBe(2);
    expect(histogram.ratesAt(-1).falseMatches).toBe(4);
  });
});

describe(comparePairs.name, () => {
  it('compares all pairs once, strangers and photos of one person apart', async () => {
    const random = unitVectors(5, 16);
    const faces = Array.from({ length: 30 }, (_, i) => ({ person: `p${i % 7}`, embedding: random() }));
    const reported: number[] = [];
    const histogram = await comparePairs(faces, (count) => reported.push(count));
    let [mated, over] = [0, 0];
    faces.forEach((a, i) =>
      faces.slice(i + 1).forEach((b) => {
        const similarity = a.embedding.reduce((sum, value, k) => sum + value * b.embedding[k], 0);
        if (a.person === b.person) mated++;
        else if (similarity >= 0.3) over++;
      }),
    );
    expect(over).toBeGreaterThan(0);
    expect([histogram.matedPairs, histogram.nonMatedPairs]).toEqual([mated, 435 - mated]);
    expect(histogram.ratesAt(0.3).falseMatches).toBe(over);
    expect(reported.reduce((sum, count) => sum + count)).toBe(435);
  });
});
