import type { CardEmbedding } from '../../models/model-card';
import { applySimilarity, estimateSimilarity } from './affine';
import { MEAN_SHAPE } from './align-faces';
import type { Landmarks, Point } from '../face.types';
import { fiveOf68 } from './landmarks-68';
import { SHAPE_MEAN, SHAPE_MODES } from './shape-model';

/*
 * How likely a located face is one that lies in the frame as its alignment takes it: not upside down, not sideways, not
 * something else. Each signal is the logarithm of the odds for it. Their slopes come from one logistic regression over all of
 * them, on photos of cfp250 (people with odd numbers) upright and turned by 90, 180 and 270 degrees, so that they are added
 * (docs/accuracy.md).
 */

/** No signal says more than this, either way: beyond it there were too few photos to tell. */
export const MAX_SIGNAL = 6;
/** Standard deviations that a shape may go along each of its modes. */
const MAX_DEVIATIONS = 3;
/** Residual of the 68 points at which the odds are even, in units of the mean shape's frame; and how steep the odds are. */
const EVEN_RESIDUAL = 0.0177;
const RESIDUAL_SLOPE = 3.5;
/** The same of the mean distance between the detector's points and those of the landmark model, in distances of the eyes. */
const EVEN_DISAGREEMENT = 0.17;
const DISAGREEMENT_SLOPE = 3;
/** Keeps two equal points from saying more than two points can. */
const LEAST_DISAGREEMENT = 0.01;

/**
 * What the points of a face say: how well the 68 points fit a mean face, and how far the five points of the detector, where
 * it gives some, are from them.
 */
export function pointsSignal(landmarks: Landmarks, points68: readonly Point[]): number {
  const residual = residualOf(points68);
  const signal = -RESIDUAL_SLOPE * Math.log(residual / EVEN_RESIDUAL);
  return bounded(signal) + agreementSignal(landmarks, fiveOf68(points68));
}

/** What the distance between two looks at the same five points says; 0 where they are the same look. */
export function agreementSignal(landmarks: Landmarks, others: Landmarks): number {
  const eyes = Math.hypot(others[1].x - others[0].x, others[1].y - others[0].y);
  const apart =
    landmarks.reduce((sum, { x, y }, i) => sum + Math.hypot(x - others[i].x, y - others[i].y), 0) / 5;
  if (apart === 0) return 0;
  const disagreement = Math.max(apart / eyes, LEAST_DISAGREEMENT);
  return bounded(-DISAGREEMENT_SLOPE * Math.log(disagreement / EVEN_DISAGREEMENT));
}

/** What the length of the raw embedding says; 0 where the card has no figures of it. */
export function lengthSignal(length: number, { rawLength }: CardEmbedding): number {
  return rawLength == null ? 0 : bounded(rawLength.slope * (length - rawLength.even));
}

/** Probability, as far as the photos that it was settled on go: (0, 1). */
export function scoreOf(signal: number): number {
  return 1 / (1 + Math.exp(-signal));
}

/**
 * How far points 17 to 67 are from any shape that faces have: root mean square distance, in the frame of the mean shape, once
 * they are brought onto it by a similarity transform and the modes of {@link SHAPE_MODES} have taken what they can.
 */
export function residualOf(points68: readonly Point[]): number {
  const points = points68.slice(17);
  const toMean = estimateSimilarity(points, MEAN_SHAPE);
  const rest = points.flatMap((point) => {
    const { x, y } = applySimilarity(toMean, point);
    return [x, y];
  });
  SHAPE_MEAN.forEach((value, i) => (rest[i] -= value));
  for (const { deviation, direction } of SHAPE_MODES) {
    const amount = direction.reduce((sum, value, i) => sum + value * rest[i], 0);
    const limit = MAX_DEVIATIONS * deviation;
    const taken = Math.min(limit, Math.max(-limit, amount));
    direction.forEach((value, i) => (rest[i] -= taken * value));
  }
  return Math.sqrt(rest.reduce((sum, value) => sum + value * value, 0) / points.length);
}

function bounded(signal: number): number {
  return Math.min(MAX_SIGNAL, Math.max(-MAX_SIGNAL, signal));
}
