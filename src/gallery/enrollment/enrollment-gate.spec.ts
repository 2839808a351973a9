import { ENROLLMENT_GATES, type FaceQuality } from '../gallery.types';
import { GATE_LIMITS, type GateLimits, qualityReasons, REJECTION_REASONS } from './enrollment-gate';

const good: FaceQuality = {
  detectionScore: 0.99,
  faceSizePx: 200,
  sharpness: 200,
  brightness: 0.5,
  pose: { yaw: 0, pitch: 0, roll: 0 },
};
const { standard } = GATE_LIMITS;

describe(qualityReasons.name, () => {
  it('has nothing against a portrait', () => {
    expect(qualityReasons(good, GATE_LIMITS.strict)).toEqual([]);
  });

  it.each<[string, keyof GateLimits, (value: number) => Partial<FaceQuality>, 1 | -1]>([
    ['FACE_TOO_SMALL', 'minFaceSizePx', (faceSizePx) => ({ faceSizePx }), -1],
    ['LOW_DETECTION_SCORE', 'minDetectionScore', (detectionScore) => ({ detectionScore }), -1],
    ['BLURRED', 'minSharpness', (sharpness) => ({ sharpness }), -1],
    ['TOO_DARK', 'minBrightness', (brightness) => ({ brightness }), -1],
    ['TOO_BRIGHT', 'maxBrightness', (brightness) => ({ brightness }), 1],
    ['EXTREME_POSE', 'maxYaw', (yaw) => ({ pose: { yaw, pitch: 0, roll: 0 } }), 1],
    ['EXTREME_POSE', 'maxYaw', (yaw) => ({ pose: { yaw: -yaw, pitch: 0, roll: 0 } }), 1],
    ['EXTREME_POSE', 'maxPitch', (pitch) => ({ pose: { yaw: 0, pitch, roll: 0 } }), 1],
    ['EXTREME_POSE', 'maxRoll', (roll) => ({ pose: { yaw: 0, pitch: 0, roll: -roll } }), 1],
  ])('says %s past %s, and not on it', (reason, limit, quality, outward) => {
    const value = standard[limit];
    expect(qualityReasons({ ...good, ...quality(value) }, standard)).toEqual([]);
    const past = value * (1 + outward * 1e-9);
    expect(qualityReasons({ ...good, ...quality(past) }, standard)).toEqual([reason]);
  });

  it('lists all reasons, in the order of the table', () => {
    const bad: FaceQuality = {
      detectionScore: 0,
      faceSizePx: 0,
      sharpness: 0,
      brightness: 0,
      pose: { yaw: 90, pitch: 90, roll: 90 },
    };
    const reasons = qualityReasons(bad, standard);
    expect(reasons).toEqual(['FACE_TOO_SMALL', 'LOW_DETECTION_SCORE', 'BLURRED', 'TOO_DARK', 'EXTREME_POSE']);
    const table = Object.keys(REJECTION_REASONS);
    expect(reasons.map((reason) => table.indexOf(reason))).toEqual([1, 2, 3, 4, 6]);
  });

  it('holds nothing against a face that was not measured', () => {
    const unmeasured = { ...good, sharpness: null, brightness: null, pose: null };
    expect(qualityReasons(unmeasured, GATE_LIMITS.strict)).toEqual([]);
  });
});

describe('GATE_LIMITS', () => {
  it('are there for every gate but off, strict nowhere wider than standard', () => {
    expect(['off', ...Object.keys(GATE_LIMITS)]).toEqual(ENROLLMENT_GATES);
    for (const [limit, value] of Object.entries(standard)) {
      const strict = GATE_LIMITS.strict[limit as keyof GateLimits];
      if (limit.startsWith('min')) expect([limit, strict >= value]).toEqual([limit, true]);
      else expect([limit, strict <= value]).toEqual([limit, true]);
    }
  });
});
