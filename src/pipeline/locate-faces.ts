import type { DetectedFace, Detector } from './detect/detect-faces';
import { pointsSignal } from './alignment-score';
import type { Landmarks, Point } from './face.types';
import { findLandmarks68, fiveOf68, rollOfEyes } from './landmarks-68';
import type { RgbImage } from './rgb-image';
import type { PipelineModel } from './face-pipeline';

/** A face with its landmarks, and what they say of its alignment. */
export interface LocatedFace extends Omit<DetectedFace, 'landmarks'> {
  landmarks: Landmarks;
  /** Of the landmark model, where faces are aligned by them. */
  landmarks68?: Point[];
  /** Logarithm of the odds that it is aligned, by its points. */
  signal: number;
}

/** Roll in radians from which a face is looked at again, uprighted. */
const LOOK_AGAIN_ROLL = (20 * Math.PI) / 180;
/** Below this the points of a face are doubtful: it is looked at again. */
const LOOK_AGAIN_SIGNAL = 0;

/**
 * Finds the landmarks of faces. A face that is rolled, or whose points do not look like one, is looked at again: uprighted,
 * and with room around it.
 *
 * @param landmarkModel - `null`: the points of the detector are taken as they are.
 */
export async function locateFaces(
  image: RgbImage,
  faces: readonly DetectedFace[],
  detector: Detector,
  landmarkModel: PipelineModel | null,
): Promise<LocatedFace[]> {
  if (faces.length === 0) return [];
  const first = await addLandmarks(image, faces, landmarkModel);
  if (landmarkModel == null) return first;
  return Promise.all(
    first.map(async (face) => (await lookAgain(image, face, detector, landmarkModel)) ?? face),
  );
}

async function addLandmarks(
  image: RgbImage,
  faces: readonly DetectedFace[],
  landmarkModel: PipelineModel | null,
  angle = 0,
): Promise<LocatedFace[]> {
  if (landmarkModel == null) {
    return faces.map((face) => ({ ...face, landmarks: face.landmarks as Landmarks, signal: 0 }));
  }
  const { session, card } = landmarkModel;
  const boxes = faces.map(({ box }) => box);
  const points = await findLandmarks68(image, boxes, session, card.input, angle);
  return faces.map((face, i) => {
    const landmarks = face.landmarks ?? fiveOf68(points[i]);
    const signal = pointsSignal(landmarks, points[i]);
    return { ...face, landmarks, signal, ...(face.landmarks == null ? { landmarks68: points[i] } : {}) };
  });
}

/** The same face as a second look sees it, where that sees it better. */
async function lookAgain(
  image: RgbImage,
  face: LocatedFace,
  detector: Detector,
  landmarkModel: PipelineModel,
): Promise<LocatedFace | undefined> {
  const roll = rollOfEyes(face.landmarks[0], face.landmarks[1]);
  if (Math.abs(roll) < LOOK_AGAIN_ROLL && face.signal >= LOOK_AGAIN_SIGNAL) return undefined;
  const found = await detector.lookAgain(image, face, roll);
  if (found == null) return undefined;
  const [again] = await addLandmarks(image, [found], landmarkModel, roll);
  return again.signal > face.signal ? again : undefined;
}
