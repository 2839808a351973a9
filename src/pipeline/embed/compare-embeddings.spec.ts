import { seededRange } from '../../../test/support/seeded-random';
import {
  assertEmbedding,
  compareEmbeddings,
  leastSimilarityWithin,
  thresholdsFromCosine,
} from './compare-embeddings';
import { METRICS } from '../face.types';

const normed = (values: number[]) => {
  const { unit, norm } = assertEmbedding(values, values.length);
  return { embedding: unit, norm };
};

function randomVector(seed: number, dimensions = 128): number[] {
  const range = seededRange(seed);
  return Array.from({ length: dimensions }, () => range(-1, 1));
}

describe(compareEmbeddings.name, () => {
  // a and b have lengths 5 and 5, cos = (3*4 + 4*3) / 25 = 0.96, |a - b| = sqrt(2).
  const a = normed([3, 4]);
  const b = normed([4, 3]);

  it.each([
    ['cosine', 0.04],
    ['euclidean', Math.SQRT2],
    ['euclidean_l2', Math.SQRT2 / 5],
    ['angular', Math.acos(0.96) / Math.PI],
  ] as const)('gives the %s distance computed by hand', (metric, distance) => {
    const result = compareEmbeddings(a, b, metric);
    expect(result.distance).toBeCloseTo(distance, 6);
    expect(result.similarity).toBeCloseTo(0.96, 6);
  });

  it.each([
    ['cosine', 2],
    ['euclidean', 10],
    ['euclidean_l2', 2],
    ['angular', 1],
  ] as const)('gives the largest %s distance for opposite vectors', (metric, distance) => {
    expect(compareEmbeddings(a, normed([-3, -4]), metric).distance).toBeCloseTo(distance, 6);
  });

  it.each([
    ['cosine', 1],
    ['euclidean', Math.sqrt(25 + 100)],
    ['euclidean_l2', Math.SQRT2],
    ['angular', 0.5],
  ] as const)('gives the %s distance of a right angle, raw lengths 5 and 10', (metric, distance) => {
    expect(compareEmbeddings(a, normed([-8, 6]), metric).distance).toBeCloseTo(distance, 6);
  });

  it.each(METRICS)('gives exactly 0 from a vector to itself by %s', (metric) => {
    for (let seed = 1; seed <= 300; seed++) {
      const vector = normed(randomVector(seed));
      expect(compareEmbeddings(vector, vector, metric)).toEqual({ distance: 0, similarity: 1 });
    }
  });

  it('agrees with the plain formulas on raw vectors, both ways round', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const p = randomVector(seed);
      const q = randomVector(seed + 1000).map((value) => value * 3);
      const dot = p.reduce((sum, value, i) => sum + value * q[i], 0);
      const cos = dot / (Math.hypot(...p) * Math.hypot(...q));
      const euclidean = Math.hypot(...p.map((value, i) => value - q[i]));
      for (const [x, y] of [
        [p, q],
        [q, p],
      ]) {
        expect(compareEmbeddings(normed(x), normed(y), 'cosine').distance).toBeCloseTo(1 - cos, 5);
        expect(compareEmbeddings(normed(x), normed(y), 'euclidean').distance).toBeCloseTo(euclidean, 4);
      }
    }
  });

  it('tells the length of the raw vectors apart by euclidean only', () => {
    const twice = normed([6, 8]);
    expect(compareEmbeddings(a, twice, 'euclidean').distance).toBeCloseTo(5, 6);
    for (const metric of ['cosine', 'euclidean_l2', 'angular'] as const) {
      expect(compareEmbeddings(a, twice, metric).distance).toBe(0);
    }
  });
});

describe(assertEmbedding.name, () => {
  it('brings a vector to unit length and says the length it had', () => {
    const { unit, norm } = assertEmbedding([0, 3, -4], 3);
    expect(norm).toBe(5);
    expect(Array.from(unit)).toEqual([0, 3 / 5, -4 / 5].map(Math.fround));
  });

  it.each([
    ['too short', [1, 2]],
    ['too long', [1, 2, 3, 4]],
    ['empty', []],
  ])('throws EMBEDDING_INVALID with both lengths for one that is %s', (_, values) => {
    expect(() => assertEmbedding(values, 3)).toThrow(
      expect.objectContaining({
        code: 'EMBEDDING_INVALID',
        details: { expectedLength: 3, receivedLength: values.length },
      }),
    );
  });

  it.each([
    ['zero', [0, 0, 0]],
    ['NaN', [1, NaN, 0]],
    ['infinite', [1, Infinity, 0]],
    ['so large that its length overflows', [1e200, 1e200, 1e200]],
    ['so small that its length underflows', [1e-200, 1e-200, 1e-200]],
  ])('throws EMBEDDING_INVALID for a vector that is %s', (_, values) => {
    expect(() => assertEmbedding(values, 3)).toThrow(expect.objectContaining({ code: 'EMBEDDING_INVALID' }));
  });

  it('never says a value', () => {
    const secret = 0.123456789;
    expect(() => assertEmbedding([secret, NaN], 2)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('0.1234') }),
    );
  });
});

describe(thresholdsFromCosine.name, () => {
  it('gives the thresholds computed by hand', () => {
    expect(thresholdsFromCosine(0.5)).toEqual({
      euclidean_l2: 1,
      angular: expect.closeTo(1 / 3, 12),
    });
    expect(thresholdsFromCosine(0)).toEqual({ euclidean_l2: 0, angular: 0 });
  });

  it('decides like the cosine threshold it comes from', () => {
    const maxDistance = 0.9;
    const thresholds = thresholdsFromCosine(maxDistance);
    let verifiedCount = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const p = normed(randomVector(seed, 8));
      const q = normed(randomVector(seed + 500, 8));
      const verified = compareEmbeddings(p, q, 'cosine').distance <= maxDistance;
      verifiedCount += Number(verified);
      for (const metric of ['euclidean_l2', 'angular'] as const) {
        expect(compareEmbeddings(p, q, metric).distance <= thresholds[metric]).toBe(verified);
      }
    }
    expect(verifiedCount).toBeGreaterThan(20);
    expect(verifiedCount).toBeLessThan(180);
  });
});

describe(leastSimilarityWithin.name, () => {
  it.each([
    ['cosine', 0.3, 0.7],
    ['euclidean_l2', 1, 0.5],
    ['angular', 1 / 3, 0.5],
    // A vector of length 5 at distance 3: the ray that touches the circle has the cosine 4 / 5.
    ['euclidean', 3, 0.8],
    ['euclidean', 5, -1],
    ['euclidean', 0, 1],
  ] as const)('gives the cosine computed by hand: %s, %p', (metric, distance, cosine) => {
    expect(leastSimilarityWithin(distance, 5, metric)).toBeCloseTo(cosine, 12);
  });

  it.each(METRICS)('lets everything pass without a limit: %s', (metric) => {
    expect(leastSimilarityWithin(Infinity, 1, metric)).toBe(-1);
  });

  it.each(METRICS)('misses no vector that is within the distance: %s', (metric) => {
    let within = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const p = normed(randomVector(seed, 3));
      const q = normed(randomVector(seed + 500, 3));
      const { distance, similarity } = compareEmbeddings(p, q, metric);
      const limit = seededRange(seed)(0, 1.5);
      if (distance > limit) continue;
      within++;
      expect(similarity).toBeGreaterThanOrEqual(leastSimilarityWithin(limit, p.norm, metric) - 1e-6);
    }
    expect(within).toBeGreaterThan(50);
  });
});
