import { boxAround, type Candidate, type DecodeCandidates, fiveLandmarks } from './candidate';

/** Variances of the box encoding. @see biubug6/Pytorch_Retinaface data/config.py; shared models README. */
const CENTER_VARIANCE = 0.1;
const SIZE_VARIANCE = 0.2;

/**
 * RetinaFace: loc [1, A, 4], conf [1, A, 2] (softmax, face second), landms [1, A, 10], anchors in the order stride,
 * row, column, anchor size. Anchor sizes (`minSizes`) and strides come from the card.
 *
 * Anchor centre = (column + 0.5, row + 0.5) * stride; centre = anchor centre + loc[0:2] * 0.1 * size;
 * size = size * exp(loc[2:4] * 0.2); landmark = anchor centre + landms * 0.1 * size.
 */
export const decodeRetinaface: DecodeCandidates = (
  [loc, conf, landms],
  canvas,
  detection,
  minDetectionScore,
) => {
  const strides = detection.strides ?? [];
  const candidates: Candidate[] = [];
  let anchor = 0;
  strides.forEach((stride, level) => {
    const columns = Math.ceil(canvas.width / stride);
    const rows = Math.ceil(canvas.height / stride);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (const size of detection.minSizes?.[level] ?? []) {
          const i = anchor++;
          const detectionScore = conf.data[i * 2 + 1];
          if (!(detectionScore >= minDetectionScore)) continue;
          const anchorX = (column + 0.5) * stride;
          const anchorY = (row + 0.5) * stride;
          const centerX = anchorX + loc.data[i * 4] * CENTER_VARIANCE * size;
          const centerY = anchorY + loc.data[i * 4 + 1] * CENTER_VARIANCE * size;
          const width = size * Math.exp(loc.data[i * 4 + 2] * SIZE_VARIANCE);
          const height = size * Math.exp(loc.data[i * 4 + 3] * SIZE_VARIANCE);
          candidates.push({
            ...boxAround(centerX, centerY, width, height),
            detectionScore,
            landmarks: fiveLandmarks(
              (k) => anchorX + landms.data[i * 10 + 2 * k] * CENTER_VARIANCE * size,
              (k) => anchorY + landms.data[i * 10 + 2 * k + 1] * CENTER_VARIANCE * size,
            ),
          });
        }
      }
    }
  });
  return candidates;
};
