import { type Candidate, type DecodeCandidates, fiveLandmarks } from './candidate';

/** Anchors per cell of every SCRFD with landmarks. */
const ANCHORS_PER_CELL = 2;

/**
 * SCRFD with landmarks: nine outputs, scores, box distances and landmark offsets of strides 8, 16, 32 in that order
 * (three of each). Center = (column, row) * stride, without half-cell offset; box = center -/+ distance * stride;
 * landmark = center + offset * stride.
 *
 * @see deepinsight/insightface python-package/insightface/model_zoo/scrfd.py
 */
export const decodeScrfd: DecodeCandidates = (outputs, canvas, detection, minDetectionScore) => {
  const strides = detection.strides ?? [8, 16, 32];
  const candidates: Candidate[] = [];
  strides.forEach((stride, level) => {
    const [scores, boxes, points] = [0, 1, 2].map((head) => outputs[head * strides.length + level].data);
    const columns = Math.floor(canvas.width / stride);
    for (let i = 0; i < scores.length; i++) {
      if (!(scores[i] >= minDetectionScore)) continue;
      const cell = Math.floor(i / ANCHORS_PER_CELL);
      const centerX = (cell % columns) * stride;
      const centerY = Math.floor(cell / columns) * stride;
      candidates.push({
        x1: centerX - boxes[i * 4] * stride,
        y1: centerY - boxes[i * 4 + 1] * stride,
        x2: centerX + boxes[i * 4 + 2] * stride,
        y2: centerY + boxes[i * 4 + 3] * stride,
        detectionScore: scores[i],
        landmarks: fiveLandmarks(
          (k) => centerX + points[i * 10 + 2 * k] * stride,
          (k) => centerY + points[i * 10 + 2 * k + 1] * stride,
        ),
      });
    }
  });
  return candidates;
};
