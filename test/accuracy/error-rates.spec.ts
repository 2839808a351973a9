import { equalErrorRate, errorsAt, trueAcceptRateAt } from './error-rates';

const none = -Infinity;

describe(trueAcceptRateAt.name, () => {
  it('accepts what is above the first non-mated pair that is too many', () => {
    const pairs = { mated: [0.9, 0.6, 0.5, 0.2], nonMated: [0.7, 0.55, 0.3, 0.1] };
    expect(trueAcceptRateAt(pairs, 0)).toEqual({ tar: 0.25, accepted: 1, above: 0.7 });
    expect(trueAcceptRateAt(pairs, 0.25)).toEqual({ tar: 0.5, accepted: 2, above: 0.55 });
    expect(trueAcceptRateAt(pairs, 0.5)).toEqual({ tar: 0.75, accepted: 3, above: 0.3 });
    expect(trueAcceptRateAt(pairs, 1)).toEqual({ tar: 1, accepted: 4, above: none });
  });

  it('accepts none of a tie that does not fit as a whole', () => {
    const pairs = { mated: [0.9, 0.5, 0.4], nonMated: [0.5, 0.5, 0.5, 0.1] };
    expect(trueAcceptRateAt(pairs, 0.25).accepted).toBe(1);
    expect(trueAcceptRateAt(pairs, 0.5).accepted).toBe(1);
    expect(trueAcceptRateAt(pairs, 0.75).accepted).toBe(3);
  });

  it('never accepts a pair without a face', () => {
    expect(trueAcceptRateAt({ mated: [none, 0.4], nonMated: [none, none] }, 1).accepted).toBe(1);
  });

  it('allows as many non-mated pairs as the rate says where its product is rounded down', () => {
    // 0.29 * 100 is 28.999999999999996.
    const nonMated = Array.from({ length: 100 }, (_, i) => 1 - i / 100);
    expect(trueAcceptRateAt({ mated: [0.715], nonMated }, 0.29).accepted).toBe(1);
  });

  it('agrees with counting at its threshold', () => {
    const pairs = { mated: [0.9, 0.8, 0.8, 0.3], nonMated: [0.8, 0.7, 0.7, 0.6, 0.2] };
    for (const maxFmr of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
      const { tar, above } = trueAcceptRateAt(pairs, maxFmr);
      const { fmr, fnmr } = errorsAt(pairs, above + 1e-9);
      expect(fmr).toBeLessThanOrEqual(maxFmr);
      expect(1 - fnmr).toBeCloseTo(tar);
    }
  });
});

describe(equalErrorRate.name, () => {
  it('is 0 where a threshold separates all pairs', () => {
    expect(equalErrorRate({ mated: [0.9, 0.8], nonMated: [0.7, 0.1] })).toEqual({
      eer: 0,
      minSimilarity: 0.8,
    });
  });

  it('accepts pairs of equal similarity together', () => {
    // No threshold tells these apart: all or none.
    expect(equalErrorRate({ mated: [0.5, 0.5], nonMated: [0.5, 0.5] }).eer).toBe(0.5);
  });

  it('counts mated pairs without a face as rejected', () => {
    const { eer } = equalErrorRate({ mated: [0.9, none], nonMated: [0.5, 0.1] });
    expect(eer).toBe(0.5);
  });
});

describe(errorsAt.name, () => {
  it('accepts a pair at the threshold', () => {
    expect(errorsAt({ mated: [0.5, 0.4], nonMated: [0.5, 0.1, none] }, 0.5)).toEqual({
      falseMatches: 1,
      nonMated: 3,
      falseNonMatches: 1,
      mated: 2,
      fmr: 1 / 3,
      fnmr: 0.5,
    });
  });
});
