import type { FacePose, Landmarks, Point } from '../face.types';

/** Distance of the tip of the nose in front of the eyes, as a fraction of the eye distance: a mean head. */
const NOSE_DEPTH = 0.5;
/** Position of the tip of the nose between eyes (0) and mouth (1) of a frontal face: the median of LFW photos. */
const FRONTAL_NOSE = 0.55;
/** Distance from the eyes to the mouth, as a fraction of the eye distance: a mean head. */
const MOUTH_DISTANCE = 1.15;

/**
 * Rough angles of a head from its five landmarks. They distinguish a frontal view from a profile; they are no
 * measurement.
 *
 * The x axis is the line of the eyes, d the eye distance, and h the distance from their middle down to the mouth. A
 * nose with the depth `NOSE_DEPTH * d` moves aside by its depth times sin(yaw) while d shrinks with cos(yaw), so
 * tan(yaw) = nose.x / d / NOSE_DEPTH. Vertically alike: tan(pitch) = (FRONTAL_NOSE - nose.y / h) / (NOSE_DEPTH /
 * MOUTH_DISTANCE).
 */
export function poseOf([leftEye, rightEye, nose, leftMouth, rightMouth]: Landmarks): FacePose {
  const dx = rightEye.x - leftEye.x;
  const dy = rightEye.y - leftEye.y;
  const eyeDistance = Math.hypot(dx, dy);
  const eyes = middle(leftEye, rightEye);
  const mouth = middle(leftMouth, rightMouth);
  const [ux, uy] = eyeDistance === 0 ? [1, 0] : [dx / eyeDistance, dy / eyeDistance];
  const along = (p: Point) => (p.x - eyes.x) * ux + (p.y - eyes.y) * uy;
  const down = (p: Point) => (p.y - eyes.y) * ux - (p.x - eyes.x) * uy;
  // atan2 also holds for a distance of 0, in extreme profiles or bad detections.
  return {
    yaw: degrees(Math.atan2(along(nose), eyeDistance * NOSE_DEPTH)),
    pitch: degrees(
      Math.atan2(FRONTAL_NOSE * down(mouth) - down(nose), (down(mouth) * NOSE_DEPTH) / MOUTH_DISTANCE),
    ),
    roll: degrees(Math.atan2(dy, dx)),
  };
}

function middle(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function degrees(radians: number): number {
  return (radians * 180) / Math.PI;
}
