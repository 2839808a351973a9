import { sampleCalibration } from '../../test/support/sample-calibration';
import { seededRandom } from '../../test/support/seeded-random';
import { CALIBRATION_FMRS } from '../models/model-card';
import { thresholdsFromCosine } from '../pipeline/embed/compare-embeddings';
import {
  decide,
  defaultDistances,
  falseMatchRate,
  fmrOfFpir,
  identificationThreshold,
  similarityAt,
  TARGET_RANGE,
  type ThresholdSource,
  verificationThreshold,
} from './thresholds';

const calibration = sampleCalibration();
const { points } = calibration;
const last = points[points.length - 1];
const random = seededRandom(7);
/** Evenly over the decades. */
const randomRate = () => TARGET_RANGE[0] * (TARGET_RANGE[1] / TARGET_RANGE[0]) ** random();

const cosine = 1 - similarityAt(calibration, 1e-5);
const calibrated: ThresholdSource = {
  name: 'calibrated',
  maxDistances: { cosine, ...thresholdsFromCosine(cosine) },
  calibration,
};
const fixed: ThresholdSource = { name: 'fixed', maxDistances: { cosine: 0.4 }, calibration: null };
const DEFAULTS = { targetFmr: 1e-5, targetFpir: 0.01 };
const refusalOf = (field: string, problem: RegExp) =>
  expect.objectContaining({
    code: 'PARAMETER_INVALID',
    details: { fields: { [field]: expect.stringMatching(problem) } },
  });

describe('similarity and false match rate', () => {
  it('are those of the points at the points', () => {
    for (const { fmr, minSimilarity } of points) {
      expect(similarityAt(calibration, fmr)).toBeCloseTo(minSimilarity, 12);
      expect(falseMatchRate(calibration, minSimilarity)).toBeCloseTo(fmr, 12);
    }
    expect(points.map(({ fmr }) => fmr)).toEqual([...CALIBRATION_FMRS]);
  });

  it('go along a straight line of the logarithm between them', () => {
    // Between 1e-3 at 0.27 and 1e-4 at 0.36.
    expect(similarityAt(calibration, 10 ** -3.5)).toBeCloseTo(0.315, 12);
    expect(falseMatchRate(calibration, 0.3)).toBeCloseTo(10 ** -(3 + 1 / 3), 12);
  });

  it('are the inverse of each other, and monotone', () => {
    const rates = Array.from({ length: 500 }, randomRate).sort((a, b) => b - a);
    let before = -Infinity;
    for (const rate of rates) {
      const similarity = similarityAt(calibration, rate);
      expect(falseMatchRate(calibration, similarity) / rate).toBeCloseTo(1, 9);
      expect(similarity).toBeGreaterThan(before);
      before = similarity;
    }
  });

  it('end at the ends of the calibration', () => {
    for (const similarity of [last.minSimilarity, 0.9, 1]) {
      expect(falseMatchRate(calibration, similarity)).toBe(1e-6);
    }
    for (const similarity of [points[0].minSimilarity, 0, -1]) {
      expect(falseMatchRate(calibration, similarity)).toBe(0.5);
    }
    expect(similarityAt(calibration, 1e-12)).toBe(last.minSimilarity);
    expect(similarityAt(calibration, 0.9)).toBe(points[0].minSimilarity);
  });
});

describe(fmrOfFpir.name, () => {
  it('is the rate of one comparison by which N of them come to the rate of the search', () => {
    for (const subjectCount of [1, 2, 10, 250, 1e6]) {
      const fpir = randomRate();
      const fmr = fmrOfFpir(fpir, subjectCount);
      // Independent comparisons: nobody is found where all of them pass.
      expect((1 - Math.exp(subjectCount * Math.log1p(-fmr))) / fpir).toBeCloseTo(1, 6);
    }
    expect(fmrOfFpir(0.01, 1)).toBeCloseTo(0.01, 12);
    expect(fmrOfFpir(0.01, 0)).toBe(fmrOfFpir(0.01, 1));
    expect(fmrOfFpir(0.01, 250)).toBeCloseTo(4.02e-5, 7);
  });
});

describe(defaultDistances.name, () => {
  const at = (maxDistance: number) => ({ maxDistance, source: 'measured' });

  it('follow from the calibration, whatever the card has but for euclidean', () => {
    const thresholds = { cosine: at(0.9), euclidean: at(1.1), angular: at(0.9) };
    const distances = { cosine, ...thresholdsFromCosine(cosine) };
    expect(defaultDistances({ calibration }, 1e-5)).toEqual(distances);
    expect(defaultDistances({ calibration, thresholds }, 1e-5)).toEqual({ ...distances, euclidean: 1.1 });
  });

  it('are those of the card without a calibration, filled in from cosine', () => {
    const thresholds = { cosine: at(0.5), angular: at(0.3) };
    expect(defaultDistances({ thresholds }, 1e-5)).toEqual({
      cosine: 0.5,
      euclidean_l2: expect.closeTo(1, 12),
      angular: 0.3,
    });
    expect(defaultDistances({}, 1e-5)).toEqual({});
  });
});

describe(verificationThreshold.name, () => {
  const threshold = (
    asked: Parameters<typeof verificationThreshold>[2],
    metric: 'cosine' | 'angular' = 'cosine',
  ) => verificationThreshold(calibrated, metric, asked, DEFAULTS);
  const at = (fmr: number) => ({
    threshold: expect.closeTo(1 - similarityAt(calibration, fmr), 12),
    targetFmr: fmr,
  });

  it('goes by the first that asks, a threshold before a rate, null and absent for not asked', () => {
    expect(threshold([])).toEqual(at(1e-5));
    expect(threshold([{}, { threshold: null, targetFmr: null }])).toEqual(at(1e-5));
    expect(threshold([{}, { targetFmr: 1e-3 }])).toEqual(at(1e-3));
    expect(threshold([{}, { threshold: 0.2, targetFmr: 1e-3 }])).toEqual({ threshold: 0.2, targetFmr: null });
    expect(threshold([{ targetFmr: 0.1 }, { threshold: 0.2 }])).toEqual(at(0.1));
    expect(threshold([{ threshold: 0, targetFmr: 0.1 }, { threshold: 0.2 }])).toEqual({
      threshold: 0,
      targetFmr: null,
    });
  });

  it('is in the unit of the metric', () => {
    const { angular } = thresholdsFromCosine(1 - similarityAt(calibration, 0.01));
    expect(threshold([{ targetFmr: 0.01 }], 'angular').threshold).toBeCloseTo(angular, 12);
  });

  it('is smaller, the smaller the rate', () => {
    const rates = Array.from({ length: 100 }, randomRate).sort((a, b) => a - b);
    const distances = rates.map((targetFmr) => threshold([{ targetFmr }]).threshold);
    expect([...distances].sort((a, b) => a - b)).toEqual(distances);
  });

  it('is that of the card without a calibration; a rate is refused', () => {
    const asked = (target: object) => verificationThreshold(fixed, 'cosine', [target], DEFAULTS);
    expect(asked({})).toEqual({ threshold: 0.4, targetFmr: null });
    expect(asked({ threshold: 0.3 })).toEqual({ threshold: 0.3, targetFmr: null });
    expect(() => asked({ targetFmr: 0.1 })).toThrow(
      refusalOf('targetFmr', /card of fixed has none: run `likeness calibrate`/),
    );
  });

  it('of metric euclidean must be on the card or given', () => {
    const asked = (target: object) => verificationThreshold(calibrated, 'euclidean', [target], DEFAULTS);
    expect(() => asked({})).toThrow(refusalOf('threshold', /required for metric euclidean/));
    expect(() => asked({ targetFmr: 0.1 })).toThrow(refusalOf('targetFmr', /metric euclidean/));
    expect(asked({ threshold: 7 })).toEqual({ threshold: 7, targetFmr: null });
  });
});

describe(identificationThreshold.name, () => {
  const threshold = (subjectCount: number, ...asked: Parameters<typeof identificationThreshold>[2]) =>
    identificationThreshold(calibrated, subjectCount, asked, DEFAULTS);

  it('goes by the first that asks, a threshold before a rate', () => {
    const at = (fpir: number) => ({
      threshold: expect.closeTo(1 - similarityAt(calibration, fmrOfFpir(fpir, 100)), 12),
      targetFpir: fpir,
    });
    expect(threshold(100)).toEqual(at(0.01));
    expect(threshold(100, { threshold: null }, { targetFpir: 0.2 })).toEqual(at(0.2));
    expect(threshold(100, { targetFpir: 0.1 }, { threshold: 0.2 })).toEqual(at(0.1));
    expect(threshold(100, { targetFpir: 0.1, threshold: 0.2 })).toEqual({ threshold: 0.2, targetFpir: null });
  });

  it('only tightens as the gallery grows, and ends with the calibration', () => {
    const counts = [0, 1, ...Array.from({ length: 100 }, () => Math.ceil(10 ** (7 * random())))].sort(
      (a, b) => a - b,
    );
    const distances = counts.map((count) => threshold(count).threshold);
    expect([...distances].sort((a, b) => b - a)).toEqual(distances);
    expect(threshold(1e9)).toEqual({ threshold: 1 - last.minSimilarity, targetFpir: 0.01 });
  });

  it('is that of the card without a calibration; a rate is refused', () => {
    const asked = (target: object) => identificationThreshold(fixed, 100, [target], DEFAULTS);
    expect(asked({})).toEqual({ threshold: 0.4, targetFpir: null });
    expect(() => asked({ targetFpir: 0.1 })).toThrow(refusalOf('targetFpir', /calibration/));
    const none = { ...fixed, maxDistances: {} };
    expect(() => identificationThreshold(none, 100, [], DEFAULTS)).toThrow(
      refusalOf('threshold', /required/),
    );
  });
});

describe(decide.name, () => {
  it.each([
    [0.4, 0.5, 0, 'match'],
    [0.5, 0.5, 0, 'match'],
    [0.6, 0.5, 0, 'no_match'],
    [0.5, 0.5, 0.01, 'review'],
    [0.25, 0.5, 0.25, 'review'],
    [0.75, 0.5, 0.25, 'review'],
    [0.24, 0.5, 0.25, 'match'],
    [0.76, 0.5, 0.25, 'no_match'],
  ])(
    'takes a distance of %d at a threshold of %d with a margin of %d for %s',
    (distance, at, margin, decision) => {
      expect(decide(distance, at, margin)).toBe(decision);
    },
  );
});
