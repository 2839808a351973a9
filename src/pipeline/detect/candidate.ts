import type { CardDetection } from '../../model-store/model-card';
import type { Landmarks } from '../face.types';
import type { OutputTensor } from '../tensor-session';

/** What a detector says before overlaps are dropped; pixels of the canvas. */
export interface Candidate {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  detectionScore: number;
  /** Families that give none leave this out. */
  landmarks?: Landmarks;
}

/** Corners of a box given by its centre and size. */
export function boxAround(
  centerX: number,
  centerY: number,
  width: number,
  height: number,
): Pick<Candidate, 'x1' | 'y1' | 'x2' | 'y2'> {
  return {
    x1: centerX - width / 2,
    y1: centerY - height / 2,
    x2: centerX + width / 2,
    y2: centerY + height / 2,
  };
}

/** Turns the outputs of one detector family into candidates at or above a score; NaN is above none. */
export type DecodeCandidates = (
  outputs: OutputTensor[],
  canvas: { width: number; height: number },
  detection: CardDetection,
  minDetectionScore: number,
) => Candidate[];

/** Five landmarks from five (x, y) pairs. */
export function fiveLandmarks(x: (i: number) => number, y: (i: number) => number): Landmarks {
  const at = (i: number) => ({ x: x(i), y: y(i) });
  return [at(0), at(1), at(2), at(3), at(4)];
}

/** Candidates looked at for overlaps, best first; more only come with scores near 0. OpenCV's YuNet has the same bound. */
export const MAX_CANDIDATES = 5000;

/**
 * Keeps the best of overlapping candidates (greedy non-maximum suppression), best first.
 *
 * @param maxIou - candidates that overlap a better one by more than this are dropped.
 * @param maxCandidates - only so many of the best are looked at.
 */
export function suppressOverlaps(
  candidates: Candidate[],
  maxIou: number,
  maxCandidates = MAX_CANDIDATES,
): Candidate[] {
  const kept: Candidate[] = [];
  const bestFirst = candidates.sort((a, b) => b.detectionScore - a.detectionScore).slice(0, maxCandidates);
  for (const candidate of bestFirst) {
    if (kept.every((better) => intersectionOverUnion(better, candidate) <= maxIou)) kept.push(candidate);
  }
  return kept;
}

function intersectionOverUnion(a: Candidate, b: Candidate): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const overlap = width * height;
  const areas = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1);
  return overlap / (areas - overlap);
}
