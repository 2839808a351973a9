import { seededRange } from '../../../test/support/seeded-random';
import { boxAround, type Candidate, fiveLandmarks, suppressOverlaps } from './candidate';

const candidate = (
  x: number,
  y: number,
  width: number,
  height: number,
  detectionScore: number,
): Candidate => ({
  x1: x,
  y1: y,
  x2: x + width,
  y2: y + height,
  detectionScore,
});
const scores = (candidates: Candidate[]) => candidates.map(({ detectionScore }) => detectionScore);

/** Intersection over union, counted in whole pixels of a grid. */
function countedIou(a: Candidate, b: Candidate): number {
  let both = 0;
  let either = 0;
  for (let y = 0; y < 40; y++) {
    for (let x = 0; x < 40; x++) {
      const inA = x >= a.x1 && x < a.x2 && y >= a.y1 && y < a.y2;
      const inB = x >= b.x1 && x < b.x2 && y >= b.y1 && y < b.y2;
      if (inA && inB) both++;
      if (inA || inB) either++;
    }
  }
  return both / either;
}

describe(suppressOverlaps.name, () => {
  it('gives an empty list for none', () => {
    expect(suppressOverlaps([], 0.5)).toEqual([]);
  });

  it('keeps boxes that only touch, or lie apart on one axis, at a limit of 0', () => {
    const apart = [
      candidate(0, 0, 10, 10, 0.9),
      candidate(10, 0, 10, 10, 0.8),
      candidate(0, 10, 10, 10, 0.7),
      candidate(0, 500, 10, 10, 0.6),
    ];
    expect(scores(suppressOverlaps(apart, 0))).toEqual([0.9, 0.8, 0.7, 0.6]);
  });

  it('drops one of two equal boxes, the worse one, whatever their order', () => {
    const pair = [candidate(3, 3, 8, 8, 0.6), candidate(3, 3, 8, 8, 0.8)];
    expect(scores(suppressOverlaps([...pair], 0.99))).toEqual([0.8]);
    expect(scores(suppressOverlaps([...pair].reverse(), 0.99))).toEqual([0.8]);
  });

  it('keeps all at a limit of 1', () => {
    const pair = [candidate(3, 3, 8, 8, 0.6), candidate(3, 3, 8, 8, 0.8)];
    expect(scores(suppressOverlaps(pair, 1))).toEqual([0.8, 0.6]);
  });

  it('measures a small box inside a large one against both areas', () => {
    // 25 / 100: inside, but not the same face.
    const nested = () => [candidate(0, 0, 10, 10, 0.9), candidate(2, 2, 5, 5, 0.8)];
    expect(suppressOverlaps(nested(), 0.25)).toHaveLength(2);
    expect(suppressOverlaps(nested(), 0.24)).toHaveLength(1);
  });

  it('keeps landmarks with their box', () => {
    const landmarks = fiveLandmarks(
      (i) => i,
      (i) => -i,
    );
    const kept = suppressOverlaps(
      [{ ...candidate(0, 0, 4, 4, 0.9), landmarks }, candidate(50, 0, 4, 4, 0.8)],
      0.5,
    );
    expect(kept.map((face) => face.landmarks)).toEqual([landmarks, undefined]);
  });

  it('leaves no two that overlap by more than the limit, and drops none without a better one over it', () => {
    const range = seededRange(21);
    for (let round = 0; round < 30; round++) {
      const limit = range(0, 0.7);
      const whole = (low: number, high: number) => Math.floor(range(low, high));
      const candidates = Array.from({ length: 25 }, () =>
        candidate(whole(0, 25), whole(0, 25), whole(3, 15), whole(3, 15), range(0, 1)),
      );
      const kept = suppressOverlaps([...candidates], limit);
      expect(scores(kept)).toEqual(scores(kept).sort((a, b) => b - a));
      const overlaps = kept.flatMap((a, i) => kept.slice(i + 1).map((b) => countedIou(a, b)));
      expect(Math.max(0, ...overlaps)).toBeLessThanOrEqual(limit);
      for (const dropped of candidates.filter((one) => !kept.includes(one))) {
        const better = kept.filter((one) => one.detectionScore > dropped.detectionScore);
        expect(better.some((one) => countedIou(one, dropped) > limit)).toBe(true);
      }
    }
  });

  it('takes those that come first, of equal scores at the end of the best', () => {
    const apart = [0.2, 0.5, 0.5, 0.9, 0.5].map((score, i) => candidate(20 * i, 0, 10, 10, score));
    const firstOf = (count: number) => suppressOverlaps([...apart], 0.5, count).map(({ x1 }) => x1);
    expect(firstOf(3)).toEqual([60, 20, 40]);
    expect(firstOf(4)).toEqual([60, 20, 40, 80]);
    expect(firstOf(9)).toEqual([60, 20, 40, 80, 0]);
  });

  it('leaves the list that it is given as it is', () => {
    const list = [candidate(0, 0, 4, 4, 0.1), candidate(9, 0, 4, 4, 0.9)];
    suppressOverlaps(list, 0.5);
    expect(scores(list)).toEqual([0.1, 0.9]);
  });

  it('looks at the best 5000 candidates only', () => {
    // Many equal boxes, and a worse one far away.
    const heap = (size: number) => [
      candidate(500, 0, 5, 5, 0.1),
      ...Array.from({ length: size }, (_, i) => candidate(0, 0, 5, 5, 0.2 + i / 10000)),
    ];
    expect(scores(suppressOverlaps(heap(4999), 0.5))).toEqual([0.2 + 4998 / 10000, 0.1]);
    expect(scores(suppressOverlaps(heap(5000), 0.5))).toEqual([0.2 + 4999 / 10000]);
  });
});

describe(boxAround.name, () => {
  it('gives the corners', () => {
    expect(boxAround(10, 20, 6, 8)).toEqual({ x1: 7, y1: 16, x2: 13, y2: 24 });
  });
});

describe(fiveLandmarks.name, () => {
  it('pairs the coordinates in order', () => {
    const points = fiveLandmarks(
      (i) => 10 * i,
      (i) => i + 1,
    );
    expect(points).toEqual([
      { x: 0, y: 1 },
      { x: 10, y: 2 },
      { x: 20, y: 3 },
      { x: 30, y: 4 },
      { x: 40, y: 5 },
    ]);
  });
});
