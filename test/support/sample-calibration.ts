import { CALIBRATION_FMRS, type CardCalibration } from '../../src/models/model-card';

/** A calibration without a source, one copy for each call. Unlike that of FakeFaceModel it is not even in its steps. */
export function sampleCalibration(): CardCalibration {
  const similarities = [0.05, 0.12, 0.2, 0.27, 0.36, 0.4, 0.49];
  return {
    date: '2026-11-28',
    detector: 'yunet',
    sets: [{ name: 'one', people: 100, photos: 500, nonMatedPairs: 123_750, matedPairs: 1000 }],
    points: CALIBRATION_FMRS.map((fmr, i) => ({
      fmr,
      minSimilarity: similarities[i],
      falseMatches: Math.floor(fmr * 123_750),
      nonMatedPairs: 123_750,
      fnmr: i / 100,
      isExtrapolated: fmr < 1e-4,
    })),
  };
}
