import type { CardEmbedding } from '../../models/model-card';
import { applySimilarity, estimateSimilarity } from './affine';
import { MEAN_SHAPE } from './align-faces';
import type { Landmarks, Point } from '../face.types';
import { fiveOf68 } from './landmarks-68';
import { SHAPE_MEAN, SHAPE_MODES } from './shape-model';

/*
 * Probability that a located face is a face in the orientation of its alignment: not upside down, not sideways, not
 * something else. Each signal is a logarithm of odds. The slopes come from one logistic regression over all signals, on
 * photos of cfp250 (people with odd numbers) upright and turned by 90, 180 and 270 degrees, so the signals are added
 * (docs/accuracy.md).
 */

/** Bound of each signal in both directions: beyond it, there were too few photos. */
export const MAX_SIGNAL = 6;
/** Range of a shape along each of its modes, in standard deviations. */
const MAX_DEVIATIONS = 3;
/** Residual of the 68 points with even odds, in units of the frame of the mean shape, and the slope of the odds. */
const EVEN_RESIDUAL = 0.0177;
const RESIDUAL_SLOPE = 3.5;
/** The same for the mean distance between the points of the detector and of the landmark model, in eye distances. */
const EVEN_DISAGREEMENT = 0.17;
const DISAGREEMENT_SLOPE = 3;
/** Floor of the disagreement, so that nearly equal points do not count as arbitrarily strong evidence. */
const LEAST_DISAGREEMENT = 0.01;

/**
 * Signal of the points of a face: the fit of the 68 points to a mean face, and their distance to the five points of the
 * detector, if it returns any.
 */
export function pointsSignal(landmarks: Landmarks, points68: readonly Point[]): number {
  const residual = residualOf(points68);
  const signal = -RESIDUAL_SLOPE * Math.log(residual / EVEN_RESIDUAL);
  return bounded(signal) + agreementSignal(landmarks, fiveOf68(points68));
}

/** Signal of the distance between two detections of the same five points; 0 if they are the same detection. */
export function agreementSignal(landmarks: Landmarks, others: Landmarks): number {
  const eyes = Math.hypot(others[1].x - others[0].x, others[1].y - others[0].y);
  const apart =
    landmarks.reduce((sum, { x, y }, i) => sum + Math.hypot(x - others[i].x, y - others[i].y), 0) / 5;
  if (apart === 0) return 0;
  const disagreement = Math.max(apart / eyes, LEAST_DISAGREEMENT);
  return bounded(-DISAGREEMENT_SLOPE * Math.log(disagreement / EVEN_DISAGREEMENT));
}

/** Signal of the length of the raw embedding; 0 if the card has no figures for it. */
export function lengthSignal(length: number, { rawLength }: CardEmbedding): number {
  return rawLength == null ? 0 : bounded(rawLength.slope * (length - rawLength.even));
}

/** Probability (0, 1), as valid as the photos it was fitted on. */
export function scoreOf(signal: number): number {
  return 1 / (1 + Math.exp(-signal));
}

/**
 * Distance of points 17 to 67 from the nearest face shape: root mean square distance in the frame of the mean shape,
 * after a similarity transform onto it and a fit of the modes of {@link SHAPE_MODES}.
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
