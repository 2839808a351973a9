import { cardInput } from '../../../test/support/card-input';
import type { ModelCard } from '../../models/model-card';
import type { DetectedFace, Detector } from './detect-faces';
import type { PipelineModel } from '../pipeline-model';
import type { Landmarks, Point } from '../face.types';
import { fiveOf68 } from '../align/landmarks-68';
import { locateFaces } from './locate-faces';
import { SHAPE_MEAN } from '../align/shape-model';

const image = { data: new Uint8Array(300 * 300 * 3), width: 300, height: 300 };
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** A mean face in the center of a crop, rotated clockwise. In fractions of the crop. */
function face(degrees = 0): Point[] {
  const [cos, sin] = [Math.cos(radians(degrees)), Math.sin(radians(degrees))];
  const shape = Array.from({ length: 51 }, (_, i) => ({ x: SHAPE_MEAN[2 * i], y: SHAPE_MEAN[2 * i + 1] }));
  const jaw = Array.from({ length: 17 }, () => ({ x: 0.5, y: 0.5 }));
  return [...jaw, ...shape].map(({ x, y }) => {
    const [dx, dy] = [(x - 0.5) / 2, (y - 0.5) / 2];
    return { x: 0.5 + cos * dx - sin * dy, y: 0.5 + sin * dx + cos * dy };
  });
}

/** Points of no face. */
const noFace = face().map(({ x }, i) => ({ x, y: 0.3 + ((i * 7) % 11) / 25 }));

/** Points that likely belong to a face, but are doubtful. */
const slightlyOff = face().map(({ x, y }, i) => ({ x, y: y + (((i * 7) % 11) - 5) / 500 }));

/** Returns these points crop by crop, two for each detection of a face: the second crop is upright. */
function landmarkModel(...answers: Point[][]): PipelineModel & { left: Point[][] } {
  const left = [...answers];
  return {
    left,
    card: { input: cardInput(16, 16, { maxBatch: 8 }) } as unknown as ModelCard,
    session: {
      async run(_data, [batch]) {
        const points = left.splice(0, batch).flatMap((crop) => crop.flatMap(({ x, y }) => [x, y]));
        return [{ data: Float32Array.from(points), dims: [batch, 136] }];
      },
      release: async () => undefined,
    },
  };
}

/** A detector that finds this in a second detection. */
function detectorOf(again?: DetectedFace): Detector & { rolls: number[] } {
  const rolls: number[] = [];
  const lookAgain = async (_image: unknown, _face: unknown, roll: number) => {
    rolls.push(Math.round((roll * 180) / Math.PI));
    return again;
  };
  return { rolls, lookAgain, isTooLarge: () => false } as unknown as Detector & { rolls: number[] };
}

const found: DetectedFace = { box: { x: 100, y: 100, width: 80, height: 80 }, detectionScore: 0.9 };
const other: DetectedFace = { box: { x: 101, y: 99, width: 80, height: 80 }, detectionScore: 0.95 };
const elsewhere: DetectedFace = { box: { x: 0, y: 200, width: 80, height: 80 }, detectionScore: 0.95 };

describe(locateFaces.name, () => {
  it('looks once at an upright face whose points are those of one', async () => {
    const detector = detectorOf(other);
    const [located] = await locateFaces(image, [found], detector, landmarkModel(face(), face()), false);
    expect(detector.rolls).toEqual([]);
    expect(located).toMatchObject(found);
    expect(located.landmarks).toEqual(fiveOf68(located.landmarks68 as Point[]));
    expect(located.signal).toBeGreaterThan(0);
    expect(located.roll).toBeCloseTo(0, 1);
  });

  it('looks again at a rolled face whose points are in some doubt, turned by its roll', async () => {
    const detector = detectorOf(undefined);
    const model = landmarkModel(face(45), slightlyOff);
    const [located] = await locateFaces(image, [found], detector, model, false);
    expect(located.signal).toBeGreaterThan(0);
    expect(detector.rolls).toEqual([Math.round((located.roll * 180) / Math.PI)]);
    expect(detector.rolls[0]).toBeGreaterThan(40);
    // The first result stays if the second detection finds nothing.
    expect(located).toMatchObject(found);
  });

  it('looks once at a rolled face whose points fit well', async () => {
    const detector = detectorOf(other);
    const [located] = await locateFaces(image, [found], detector, landmarkModel(face(45), face()), false);
    expect(located.roll).toBeGreaterThan(radians(40));
    expect(detector.rolls).toEqual([]);
  });

  it('looks again at a rolled face whose points are those of the detector', async () => {
    const [own] = await locateFaces(image, [found], detectorOf(), landmarkModel(face(45), face()), false);
    const detector = detectorOf(undefined);
    const given = { ...found, landmarks: own.landmarks };
    await locateFaces(image, [given], detector, landmarkModel(face(45), face()), false);
    expect(detector.rolls).toHaveLength(1);
  });

  it('takes the look whose points are more like a face', async () => {
    const better = landmarkModel(noFace, noFace, face(), face());
    expect(await locateFaces(image, [found], detectorOf(other), better, false)).toMatchObject([other]);
    const worse = landmarkModel(face(45), slightlyOff, noFace, noFace);
    expect(await locateFaces(image, [found], detectorOf(other), worse, false)).toMatchObject([found]);
  });

  it('has a face once that the second look at something beside it finds too', async () => {
    const thing = { ...found, box: { ...found.box, y: 60 } };
    const looks = landmarkModel(face(), noFace, face(), noFace, face(), face());
    const faces = await locateFaces(image, [found, thing], detectorOf(other), looks, false);
    expect(looks.left).toEqual([]);
    expect(faces).toHaveLength(1);
  });

  describe('in doubt', () => {
    const looks = () => landmarkModel(face(), face(), face(), face());

    it('keeps a face that is found twice in the same place', async () => {
      expect(await locateFaces(image, [found], detectorOf(other), looks(), true)).toHaveLength(1);
    });

    it.each([
      ['not found again', undefined],
      ['found elsewhere', elsewhere],
    ])('leaves a face out that is %s', async (_, again) => {
      expect(await locateFaces(image, [found], detectorOf(again), looks(), true)).toEqual([]);
    });
  });

  it('keeps the points of a detector that gives some, and holds the others against them', async () => {
    const model = () => landmarkModel(face(), face());
    const [own] = await locateFaces(image, [found], detectorOf(), model(), false);
    const moved = own.landmarks.map(({ x, y }) => ({ x: x + 1, y })) as unknown as Landmarks;
    const [near] = await locateFaces(image, [{ ...found, landmarks: moved }], detectorOf(), model(), false);
    expect(near.landmarks).toEqual(moved);
    expect(near.landmarks68).toBeUndefined();
    const far = own.landmarks.map(({ x, y }) => ({ x: x + 60, y })) as unknown as Landmarks;
    const [apart] = await locateFaces(image, [{ ...found, landmarks: far }], detectorOf(), model(), false);
    expect(apart.signal).toBeLessThan(near.signal);
  });

  it('takes the points of a detector as they are where there is no landmark model', async () => {
    const landmarks = [
      { x: 120, y: 120 },
      { x: 120, y: 160 },
      { x: 100, y: 140 },
      { x: 90, y: 125 },
      { x: 90, y: 155 },
    ] as const;
    const detector = detectorOf(other);
    const [located] = await locateFaces(image, [{ ...found, landmarks }], detector, null, true);
    expect(located).toMatchObject({ landmarks, signal: 3 });
    expect(located.roll).toBeCloseTo(Math.PI / 2);
    expect(detector.rolls).toEqual([]);
  });

  it('runs nothing without faces', async () => {
    const model = landmarkModel(face());
    expect(await locateFaces(image, [], detectorOf(), model, true)).toEqual([]);
    expect(model.left).toHaveLength(1);
  });
});
