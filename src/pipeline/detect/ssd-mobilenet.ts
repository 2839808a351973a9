import type { Candidate, DecodeCandidates } from './candidate';

/**
 * SSD MobileNetV1 as compiled: boxes [1, A, 4] as (y1, x1, y2, x2) in fractions of the canvas, scores [1, A].
 * Anchors are decoded inside the graph. Corners are clipped to the canvas, as the original does before scaling.
 */
export const decodeSsdMobilenet: DecodeCandidates = (
  [boxes, scores],
  canvas,
  _detection,
  minDetectionScore,
) => {
  const clip = (value: number) => Math.min(1, Math.max(0, value));
  const candidates: Candidate[] = [];
  for (let i = 0; i < scores.data.length; i++) {
    if (!(scores.data[i] >= minDetectionScore)) continue;
    candidates.push({
      y1: clip(boxes.data[i * 4]) * canvas.height,
      x1: clip(boxes.data[i * 4 + 1]) * canvas.width,
      y2: clip(boxes.data[i * 4 + 2]) * canvas.height,
      x2: clip(boxes.data[i * 4 + 3]) * canvas.width,
      detectionScore: scores.data[i],
    });
  }
  return candidates;
};
