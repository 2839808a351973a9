import { seededRange } from '../../../test/support/seeded-random';
import type { CardEmbedding } from '../../models/model-card';
import {
  agreementSignal,
  lengthSignal,
  MAX_SIGNAL,
  pointsSignal,
  residualOf,
  scoreOf,
} from './alignment-score';
import type { Landmarks, Point } from '../face.types';
import { fiveOf68 } from './landmarks-68';
import { SHAPE_MEAN, SHAPE_MODES } from './shape-model';

/** 68 points: the unused jaw, and a shape with alternating x and y. */
function pointsOf(shape: readonly number[]): Point[] {
  const jaw = Array.from({ length: 17 }, () => ({ x: 0.5, y: 1.2 }));
  return [...jaw, ...Array.from({ length: 51 }, (_, i) => ({ x: shape[2 * i], y: shape[2 * i + 1] }))];
}

const mean = pointsOf(SHAPE_MEAN);
const upsideDown = (points: readonly Point[]) => points.map(({ x, y }) => ({ x, y: 1 - y }));

/** Moves each point by at most this distance. */
function scattered(points: readonly Point[], distance: number, seed = 1): Point[] {
  const range = seededRange(seed);
  return points.map(({ x, y }) => ({
    x: x + range(-distance, distance),
    y: y + range(-distance, distance),
  }));
}

/** Moves, rotates and enlarges the points. */
function placed(points: readonly Point[], size: number, degrees: number): Point[] {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return points.map(({ x, y }) => ({
    x: 70 + size * (cos * x - sin * y),
    y: 90 + size * (sin * x + cos * y),
  }));
}

describe(residualOf.name, () => {
  it('is next to nothing for the mean shape', () => {
    expect(residualOf(mean)).toBeLessThan(0.005);
  });

  it.each([
    [100, 0],
    [100, 90],
    [3, 200],
  ])('does not depend on place, size and roll (%d px, %d degrees)', (size, degrees) => {
    const points = scattered(mean, 0.05);
    expect(residualOf(placed(points, size, degrees))).toBeCloseTo(residualOf(points), 9);
  });

  it('takes what faces do for no fault, up to three standard deviations', () => {
    const [{ deviation, direction }] = SHAPE_MODES;
    const moved = (deviations: number) =>
      residualOf(pointsOf(SHAPE_MEAN.map((value, i) => value + deviations * deviation * direction[i])));
    expect(moved(1)).toBeLessThan(0.02);
    expect(moved(12)).toBeGreaterThan(5 * moved(1));
  });

  it('grows with what a face does not do', () => {
    const residuals = [0, 0.02, 0.05, 0.1, 0.2].map((distance) => residualOf(scattered(mean, distance)));
    expect([...residuals].sort((a, b) => a - b)).toEqual(residuals);
  });
});

describe(pointsSignal.name, () => {
  it('is sure of a mean face, and sure that scrambled points are none', () => {
    expect(scoreOf(pointsSignal(fiveOf68(mean), mean))).toBeGreaterThan(0.95);
    const scrambled = [...mean.slice(0, 17), ...[...mean.slice(17)].sort((a, b) => a.x - b.x)];
    expect(scoreOf(pointsSignal(fiveOf68(scrambled), scrambled))).toBeLessThan(0.05);
    const flipped = upsideDown(mean);
    expect(scoreOf(pointsSignal(fiveOf68(flipped), flipped))).toBeLessThan(0.05);
  });

  it('falls the further the points are from a face', () => {
    const signals = [0.01, 0.03, 0.06, 0.1].map((distance) => {
      const points = scattered(mean, distance);
      return pointsSignal(fiveOf68(points), points);
    });
    expect([...signals].sort((a, b) => b - a)).toEqual(signals);
    expect(new Set(signals).size).toBeGreaterThan(2);
  });

  it('says less of a face whose five points are elsewhere by the detector', () => {
    const five = fiveOf68(mean);
    const others = five.map(({ x, y }) => ({ x: x + 0.4, y })) as unknown as Landmarks;
    expect(pointsSignal(others, mean)).toBeLessThan(pointsSignal(five, mean));
  });
});

describe(agreementSignal.name, () => {
  const five = fiveOf68(mean);
  const eyes = Math.hypot(five[1].x - five[0].x, five[1].y - five[0].y);
  const apart = (distance: number) =>
    agreementSignal(five.map(({ x, y }) => ({ x: x + distance * eyes, y })) as unknown as Landmarks, five);

  it('says nothing of a look held against itself', () => {
    expect(apart(0)).toBe(0);
  });

  it('falls with the distance, in distances of the eyes', () => {
    const signals = [0.05, 0.1, 0.17, 0.3, 0.6].map(apart);
    expect([...signals].sort((a, b) => b - a)).toEqual(signals);
    expect(signals[0]).toBeGreaterThan(0);
    expect(signals[2]).toBeCloseTo(0);
    expect(signals[4]).toBeLessThan(0);
  });

  it('has bounds', () => {
    expect(apart(1e-9)).toBeLessThanOrEqual(MAX_SIGNAL);
    expect(apart(1e9)).toBe(-MAX_SIGNAL);
  });
});

describe(lengthSignal.name, () => {
  const card = { rawLength: { even: 8, slope: 0.5 } } as unknown as CardEmbedding;

  it('says that a long embedding is one of an aligned face', () => {
    expect([6, 8, 10].map((length) => lengthSignal(length, card))).toEqual([-1, 0, 1]);
    expect(
      [0, 1000].map((length) => lengthSignal(length, { ...card, rawLength: { even: 100, slope: 1 } })),
    ).toEqual([-MAX_SIGNAL, MAX_SIGNAL]);
  });

  it('says nothing where the card has no figures', () => {
    expect(lengthSignal(3, {} as CardEmbedding)).toBe(0);
  });
});

describe(scoreOf.name, () => {
  it('is the probability that belongs to the logarithm of the odds', () => {
    expect(scoreOf(0)).toBe(0.5);
    expect(scoreOf(Math.log(9))).toBeCloseTo(0.9);
    expect(scoreOf(-Math.log(9))).toBeCloseTo(0.1);
  });
});
