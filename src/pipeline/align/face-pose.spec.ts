import { poseOf } from './face-pose';
import type { Landmarks, Point } from '../face.types';

/** Rotates a head in space and projects it from far away. Angles in degrees; x right, y down, z toward the viewer. */
function landmarksOf({ yaw = 0, pitch = 0, roll = 0, scale = 60 }): Landmarks {
  const head: [number, number, number][] = [
    [-0.5, 0, 0],
    [0.5, 0, 0],
    [0, 0.55 * 1.15, 0.5],
    [-0.4, 1.15, 0],
    [0.4, 1.15, 0],
  ];
  const [y, p, r] = [yaw, pitch, roll].map((angle) => (angle * Math.PI) / 180);
  return head.map(([hx, hy, hz]): Point => {
    // Pitch first: a positive pitch raises the nose.
    const py = hy * Math.cos(p) - hz * Math.sin(p);
    const pz = hy * Math.sin(p) + hz * Math.cos(p);
    const x = hx * Math.cos(y) + pz * Math.sin(y);
    return {
      x: 300 + scale * (x * Math.cos(r) - py * Math.sin(r)),
      y: 200 + scale * (x * Math.sin(r) + py * Math.cos(r)),
    };
  }) as unknown as Landmarks;
}

describe(poseOf.name, () => {
  it('is 0 for a face from the front', () => {
    const { yaw, pitch, roll } = poseOf(landmarksOf({}));
    expect([yaw, pitch, roll]).toEqual([expect.closeTo(0), expect.closeTo(0), expect.closeTo(0)]);
  });

  it.each([-60, -30, 15, 45, 75])('tells a yaw of %i degrees', (yaw) => {
    expect(poseOf(landmarksOf({ yaw }))).toMatchObject({
      yaw: expect.closeTo(yaw),
      roll: expect.closeTo(0),
    });
  });

  it.each([-40, -20, 20, 40])('tells a pitch of %i degrees', (pitch) => {
    expect(poseOf(landmarksOf({ pitch }))).toEqual({
      yaw: expect.closeTo(0),
      pitch: expect.closeTo(pitch),
      roll: expect.closeTo(0),
    });
  });

  it.each([-150, -45, 30, 90])('tells a roll of %i degrees, and takes it out of the others', (roll) => {
    expect(poseOf(landmarksOf({ roll, yaw: 25 }))).toMatchObject({
      yaw: expect.closeTo(25),
      roll: expect.closeTo(roll),
    });
    expect(poseOf(landmarksOf({ roll, pitch: 25 })).pitch).toBeCloseTo(25);
  });

  it('does not depend on the size of the face', () => {
    const far = poseOf(landmarksOf({ yaw: 20, pitch: 10, roll: 5, scale: 7 }));
    const near = poseOf(landmarksOf({ yaw: 20, pitch: 10, roll: 5, scale: 700 }));
    expect(far.yaw).toBeCloseTo(near.yaw);
    expect(far.pitch).toBeCloseTo(near.pitch);
    expect(far.roll).toBeCloseTo(near.roll);
  });

  it('gives finite angles where points fall together', () => {
    const point = { x: 5, y: 5 };
    for (const angle of Object.values(poseOf([point, point, point, point, point]))) {
      expect(Number.isFinite(angle)).toBe(true);
    }
  });
});
