import type { CardDetection } from '../../models/model-card';
import type { OutputTensor } from '../tensor-session';
import { boxAround, type Candidate, type DecodeCandidates, fiveLandmarks } from './candidate';

/** Variances of the box encoding. @see biubug6/Pytorch_Retinaface data/config.py; shared models README. */
const CENTER_VARIANCE = 0.1;
const SIZE_VARIANCE = 0.2;

/**
 * RetinaFace: loc [1, A, 4], conf [1, A, 2] (softmax, face second), landms [1, A, 10], anchors in the order stride,
 * row, column, anchor size. Anchor sizes (`minSizes`) and strides come from the card.
 *
 * Anchor center = (column + 0.5, row + 0.5) * stride; center = anchor center + loc[0:2] * 0.1 * size;
 * size = size * exp(loc[2:4] * 0.2); landmark = anchor center + landms * 0.1 * size.
 */
export const decodeRetinaface: DecodeCandidates = (...given) =>
  decodeAnchors(...given, { isFitted: false, maxHeight: Infinity });

/** Anchor layout of a family on the canvas. */
interface AnchorRule {
  /**
   * True if the cells divide the canvas evenly; otherwise each is as wide as the stride, and the last may cross the
   * edge.
   */
  isFitted: boolean;
  /** Largest height of an anchor in pixels. */
  maxHeight: number;
}

function decodeAnchors(
  outputs: OutputTensor[],
  canvas: { width: number; height: number },
  detection: CardDetection,
  minDetectionScore: number,
  { isFitted, maxHeight }: AnchorRule,
): Candidate[] {
  const [loc, conf, landms] = outputs.map(({ data }) => data);
  const candidates: Candidate[] = [];
  let anchor = 0;
  (detection.strides ?? []).forEach((stride, level) => {
    const columns = Math.ceil(canvas.width / stride);
    const rows = Math.ceil(canvas.height / stride);
    const cellWidth = isFitted ? canvas.width / columns : stride;
    const cellHeight = isFitted ? canvas.height / rows : stride;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (const size of detection.minSizes?.[level] ?? []) {
          const i = anchor++;
          const sizeY = Math.min(size, maxHeight);
          const detectionScore = conf[i * 2 + 1];
          if (!(detectionScore >= minDetectionScore)) continue;
          const anchorX = (column + 0.5) * cellWidth;
          const anchorY = (row + 0.5) * cellHeight;
          const centerX = anchorX + loc[i * 4] * CENTER_VARIANCE * size;
          const centerY = anchorY + loc[i * 4 + 1] * CENTER_VARIANCE * sizeY;
          const width = size * Math.exp(loc[i * 4 + 2] * SIZE_VARIANCE);
          const height = sizeY * Math.exp(loc[i * 4 + 3] * SIZE_VARIANCE);
          candidates.push({
            ...boxAround(centerX, centerY, width, height),
            detectionScore,
            landmarks:
              landms &&
              fiveLandmarks(
                (k) => anchorX + landms[i * 10 + 2 * k] * CENTER_VARIANCE * size,
                (k) => anchorY + landms[i * 10 + 2 * k + 1] * CENTER_VARIANCE * sizeY,
              ),
          });
        }
      }
    }
  });
  return candidates;
}

/**
 * RFB-320 was trained on pictures 240 pixels high, which cut its anchors of 256 pixels: their offsets mean 256 x 240 on
 * pictures of any size.
 */
const ULTRA_LIGHT_ANCHORS: AnchorRule = { isFitted: true, maxHeight: 240 };

/**
 * Ultra-Light (RFB-320 and related models): scores [1, A, 2] and boxes [1, A, 4]; anchors and encoding are those of
 * RetinaFace, without landmarks.
 *
 * @see Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB vision/utils/box_utils.py, generate_priors.
 */
export const decodeUltraLight: DecodeCandidates = ([scores, boxes], canvas, detection, minDetectionScore) =>
  decodeAnchors([boxes, scores], canvas, detection, minDetectionScore, ULTRA_LIGHT_ANCHORS);
