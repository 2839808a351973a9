import { boxAround, type Candidate, type DecodeCandidates, fiveLandmarks } from './candidate';

/**
 * YuNet: per stride s of 8, 16, 32 the outputs cls, obj, bbox (4) and kps (10), one row per cell, given in that order
 * (three cls, three obj, three bbox, three kps).
 *
 * detectionScore = sqrt(cls * obj); center = (column + b0, row + b1) * s; size = exp(b2, b3) * s;
 * landmark i = (column + k2i, row + k2i+1) * s.
 *
 * @see opencv modules/objdetect/src/face_detect.cpp @0692bb4 for the formulas.
 */
export const decodeYunet: DecodeCandidates = (outputs, canvas, detection, minDetectionScore) => {
  const strides = detection.strides ?? [8, 16, 32];
  const candidates: Candidate[] = [];
  strides.forEach((stride, level) => {
    const [cls, obj, bbox, kps] = [0, 1, 2, 3].map((head) => outputs[head * strides.length + level].data);
    const columns = Math.floor(canvas.width / stride);
    for (let cell = 0; cell < cls.length; cell++) {
      const detectionScore = Math.sqrt(unit(cls[cell]) * unit(obj[cell]));
      if (!(detectionScore >= minDetectionScore)) continue;
      const column = cell % columns;
      const row = Math.floor(cell / columns);
      const centerX = (column + bbox[cell * 4]) * stride;
      const centerY = (row + bbox[cell * 4 + 1]) * stride;
      const width = Math.exp(bbox[cell * 4 + 2]) * stride;
      const height = Math.exp(bbox[cell * 4 + 3]) * stride;
      candidates.push({
        ...boxAround(centerX, centerY, width, height),
        detectionScore,
        landmarks: fiveLandmarks(
          (i) => (column + kps[cell * 10 + 2 * i]) * stride,
          (i) => (row + kps[cell * 10 + 2 * i + 1]) * stride,
        ),
      });
    }
  });
  return candidates;
};

function unit(value: number): number {
  return Math.min(1, Math.max(0, value));
}
