import { boxAround, type Candidate, type DecodeCandidates, fiveLandmarks } from './candidate';

/** Side of the base cell of the anchors; anchors of all strides are centered on its middle, (16 - 1) / 2. */
const BASE_SIZE = 16;

/**
 * RetinaFace as trained by InsightFace: three outputs for each stride of the card, NHWC [1, H, W, values of the
 * anchors]: scores (all backgrounds first, then all faces; softmax done), boxes (4 per anchor) and landmarks (10 per
 * anchor). Anchor sides (`minSizes`) come from the card, in the order of the anchors.
 *
 * Anchor center = (column, row) * stride + 7.5; center = anchor center + delta * side; side of the box = side *
 * exp(delta), last pixel included; landmark = anchor center + delta * side.
 *
 * @see serengil/retinaface@018a5d2:retinaface/RetinaFace.py and retinaface/commons/postprocess.py
 */
export const decodeRetinafaceInsightface: DecodeCandidates = (
  outputs,
  canvas,
  detection,
  minDetectionScore,
) => {
  const candidates: Candidate[] = [];
  (detection.strides ?? []).forEach((stride, level) => {
    const [scores, boxes, landmarks] = outputs.slice(level * 3, level * 3 + 3).map(({ data }) => data);
    const sides = detection.minSizes?.[level] ?? [];
    const columns = Math.ceil(canvas.width / stride);
    const cells = columns * Math.ceil(canvas.height / stride);
    for (let cell = 0; cell < cells; cell++) {
      for (const [anchor, side] of sides.entries()) {
        const detectionScore = scores[cell * 2 * sides.length + sides.length + anchor];
        if (!(detectionScore >= minDetectionScore)) continue;
        const anchorX = (cell % columns) * stride + (BASE_SIZE - 1) / 2;
        const anchorY = Math.floor(cell / columns) * stride + (BASE_SIZE - 1) / 2;
        const i = cell * sides.length + anchor;
        const [dx, dy, dw, dh] = boxes.subarray(i * 4, i * 4 + 4);
        candidates.push({
          // A box from pixel 0 to pixel 15 has side 16, but corners that are 15 apart.
          ...boxAround(
            anchorX + dx * side,
            anchorY + dy * side,
            Math.exp(dw) * side - 1,
            Math.exp(dh) * side - 1,
          ),
          detectionScore,
          landmarks: fiveLandmarks(
            (k) => anchorX + landmarks[i * 10 + 2 * k] * side,
            (k) => anchorY + landmarks[i * 10 + 2 * k + 1] * side,
          ),
        });
      }
    }
  });
  return candidates;
};
