import type { CardDetection } from '../../models/model-card';
import type { Landmarks } from '../face.types';
import type { OutputTensor } from '../tensor-session';

/** Detector result before non-maximum suppression; pixels of the canvas. */
export interface Candidate {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  detectionScore: number;
  /** Absent for families without landmarks. */
  landmarks?: Landmarks;
}

/** Corners of a box from its center and size. */
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

/** Decodes the outputs of one detector family to candidates at or above a score; NaN is below every score. */
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

/**
 * Most candidates compared for overlaps, best first; only minimum scores near 0 yield more. YuNet in OpenCV has the
 * same limit.
 */
export const MAX_CANDIDATES = 5000;

/**
 * Keeps the best of overlapping candidates (greedy non-maximum suppression), best first.
 *
 * @param maxIou - candidates with a larger overlap with a better one are dropped.
 * @param maxCandidates - number of best candidates that are compared.
 */
export function suppressOverlaps(
  candidates: Candidate[],
  maxIou: number,
  maxCandidates = MAX_CANDIDATES,
): Candidate[] {
  const kept: Candidate[] = [];
  const boxes = new BoxSet(Math.min(candidates.length, maxCandidates));
  for (const candidate of bestOf(candidates, maxCandidates)) {
    if (boxes.isOverlapping(candidate, maxIou)) continue;
    boxes.add(candidate);
    kept.push(candidate);
  }
  return kept;
}

/**
 * The best candidates in order; of equal scores, the first. Minimum scores near 0 yield tens of thousands, too many to
 * sort.
 */
function bestOf(candidates: readonly Candidate[], count: number): Candidate[] {
  let few = candidates;
  if (candidates.length > count) {
    const scores = Float64Array.from(candidates, ({ detectionScore }) => detectionScore).sort();
    const least = scores[scores.length - count];
    few = candidates.filter(({ detectionScore }) => detectionScore >= least);
  }
  return [...few].sort((a, b) => b.detectionScore - a.detectionScore).slice(0, count);
}

/** Numbers per box in a {@link BoxSet}: corners and area. */
const STRIDE = 5;

/** Boxes in one array of numbers: minimum scores near 0 compare thousands with thousands. */
class BoxSet {
  private readonly numbers: Float64Array;
  private end = 0;

  constructor(capacity: number) {
    this.numbers = new Float64Array(capacity * STRIDE);
  }

  add(box: Candidate): void {
    this.numbers.set([box.x1, box.y1, box.x2, box.y2, areaOf(box)], this.end);
    this.end += STRIDE;
  }

  /** Whether the intersection over union with any of the boxes exceeds `maxIou`. */
  isOverlapping(box: Candidate, maxIou: number): boolean {
    const { numbers, end } = this;
    const { x1, y1, x2, y2 } = box;
    const area = areaOf(box);
    for (let i = 0; i < end; i += STRIDE) {
      const width = Math.min(numbers[i + 2], x2) - Math.max(numbers[i], x1);
      if (width <= 0) continue;
      const height = Math.min(numbers[i + 3], y2) - Math.max(numbers[i + 1], y1);
      if (height <= 0) continue;
      const overlap = width * height;
      if (overlap / (numbers[i + 4] + area - overlap) > maxIou) return true;
    }
    return false;
  }
}

function areaOf({ x1, y1, x2, y2 }: Candidate): number {
  return (x2 - x1) * (y2 - y1);
}
