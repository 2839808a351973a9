import type { EnrollmentGate, FaceQuality } from '../gallery.types';

/** Reasons of the enrollment gate to reject a face: `details.reasons` of REFERENCE_REJECTED. */
export const REJECTION_REASONS = {
  SEVERAL_FACES: 'the image shows several faces, and no faceSelection chooses one',
  FACE_TOO_SMALL: 'the shorter side of the face box has too few pixels',
  LOW_DETECTION_SCORE: 'the detection score is too low',
  BLURRED: 'the face has too little detail',
  TOO_DARK: 'the face is too dark',
  TOO_BRIGHT: 'the face is too bright',
  EXTREME_POSE: 'the head is turned or tilted too far',
  NEAR_ANOTHER_SUBJECT: 'the face is within the threshold of another subject (strict only)',
  FAR_FROM_OWN_REFERENCES:
    'the face is not within the threshold of any reference of its subject (strict only)',
} as const;

export type RejectionReason = keyof typeof REJECTION_REASONS;

/** Limits of a gate, inclusive. In the units of {@link FaceQuality}; angles in both directions. */
export interface GateLimits {
  minFaceSizePx: number;
  minDetectionScore: number;
  minSharpness: number;
  minBrightness: number;
  maxBrightness: number;
  maxYaw: number;
  maxPitch: number;
  maxRoll: number;
}

/**
 * Limits of the gates, for every detector and embedder. Chosen on 100 press photos (LFW), plain, blurred, darkened and
 * brightened, and 6 snapshots: `standard` accepts all plain photos and rejects most degraded ones; `strict` starts at the
 * worst plain photos. Brightness has the most room at its dark end, so that dark skin in dim light passes.
 * The figures are in docs/accuracy.md.
 */
export const GATE_LIMITS: Readonly<Record<Exclude<EnrollmentGate, 'off'>, Readonly<GateLimits>>> = {
  standard: {
    minFaceSizePx: 40,
    minDetectionScore: 0.6,
    minSharpness: 30,
    minBrightness: 0.15,
    maxBrightness: 0.85,
    maxYaw: 55,
    maxPitch: 45,
    maxRoll: 50,
  },
  strict: {
    minFaceSizePx: 72,
    minDetectionScore: 0.8,
    minSharpness: 60,
    minBrightness: 0.2,
    maxBrightness: 0.8,
    maxYaw: 35,
    maxPitch: 30,
    maxRoll: 30,
  },
};

/**
 * Reasons to reject a face for its quality alone, in the order of {@link REJECTION_REASONS}; unmeasured values are no reason.
 */
export function qualityReasons(
  { detectionScore, faceSizePx, sharpness, brightness, pose }: FaceQuality,
  limits: GateLimits,
): RejectionReason[] {
  const found: [RejectionReason, boolean][] = [
    ['FACE_TOO_SMALL', faceSizePx < limits.minFaceSizePx],
    ['LOW_DETECTION_SCORE', detectionScore < limits.minDetectionScore],
    ['BLURRED', sharpness != null && sharpness < limits.minSharpness],
    ['TOO_DARK', brightness != null && brightness < limits.minBrightness],
    ['TOO_BRIGHT', brightness != null && brightness > limits.maxBrightness],
    [
      'EXTREME_POSE',
      pose != null &&
        (Math.abs(pose.yaw) > limits.maxYaw ||
          Math.abs(pose.pitch) > limits.maxPitch ||
          Math.abs(pose.roll) > limits.maxRoll),
    ],
  ];
  return found.filter(([, isFound]) => isFound).map(([reason]) => reason);
}
