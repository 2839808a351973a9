import { type DetectedFace, type Detector, iouOf } from './detect-faces';
import { agreementSignal, pointsSignal } from '../align/alignment-score';
import type { Landmarks, Point } from '../face.types';
import { findLandmarks68, fiveOf68, rollOfEyes } from '../align/landmarks-68';
import type { RgbImage } from '../image/rgb-image';
import type { PipelineModel } from '../pipeline-model';

/** A face with its landmarks and their alignment signal. */
export interface LocatedFace extends Omit<DetectedFace, 'landmarks'> {
  landmarks: Landmarks;
  /** Points of the landmark model, if faces are aligned by them. */
  landmarks68?: Point[];
  /** Radians, clockwise. */
  roll: number;
  /** Logarithm of the odds that the face is aligned, by its points. */
  signal: number;
}

/** Roll in radians above which a face is detected again, upright. */
const LOOK_AGAIN_ROLL = (20 * Math.PI) / 180;
/** Signal of unchecked points: nothing speaks against them. */
const UNCHECKED_SIGNAL = 3;
/** Below this, the points of a face are doubtful: it is detected again. */
const LOOK_AGAIN_SIGNAL = 0;
/**
 * The same for a rolled face with points of the landmark model: with a fit this good, the second pass of that model has
 * already turned the face upright. A detector saw it rolled, and returns better points in a second detection.
 */
const LOOK_AGAIN_ROLLED_SIGNAL = 2;
/** Boxes with a larger intersection over union belong to one face; neighbors in a crowd overlap less. */
const SAME_FACE_IOU = 0.4;

/**
 * Finds the landmarks of faces. A face that is rolled, or with implausible points, is detected again: upright, and with
 * a margin.
 *
 * @param landmarkModel - `null`: the points of the detector are used unchecked.
 * @param isDoubtful - every face is detected again, and dropped if it is not found, or found elsewhere.
 */
export async function locateFaces(
  image: RgbImage,
  faces: readonly DetectedFace[],
  detector: Detector,
  landmarkModel: PipelineModel | null,
  isDoubtful: boolean,
): Promise<LocatedFace[]> {
  if (faces.length === 0) return [];
  const first = await addLandmarks(image, faces, landmarkModel);
  if (landmarkModel == null) return first;
  const located: LocatedFace[] = [];
  for (const face of first) {
    const isRolled = Math.abs(face.roll) >= LOOK_AGAIN_ROLL;
    const clearSignal = face.landmarks68 == null ? Infinity : LOOK_AGAIN_ROLLED_SIGNAL;
    const isClear =
      face.signal >= (isRolled ? clearSignal : LOOK_AGAIN_SIGNAL) && !detector.isTooLarge(image, face);
    const again = isClear && !isDoubtful ? null : await lookAgain(image, face, detector, landmarkModel);
    const isSame = again != null && agreementSignal(face.landmarks, again.landmarks) >= 0;
    if (isDoubtful && !isSame) continue;
    located.push(again != null && again.signal > face.signal ? again : face);
  }
  return withoutDoubles(located);
}

/** A second detection beside a face may find the same face once more. */
function withoutDoubles(faces: LocatedFace[]): LocatedFace[] {
  const kept: LocatedFace[] = [];
  for (const face of [...faces].sort((a, b) => b.signal - a.signal)) {
    if (kept.every((likelier) => iouOf(face.box, likelier.box) <= SAME_FACE_IOU)) kept.push(face);
  }
  return faces.filter((face) => kept.includes(face));
}

async function addLandmarks(
  image: RgbImage,
  faces: readonly DetectedFace[],
  landmarkModel: PipelineModel | null,
  angle = 0,
): Promise<LocatedFace[]> {
  if (landmarkModel == null) {
    return faces.map((face) => {
      const landmarks = face.landmarks as Landmarks;
      return { ...face, landmarks, roll: rollOfEyes(landmarks[0], landmarks[1]), signal: UNCHECKED_SIGNAL };
    });
  }
  const { session, card } = landmarkModel;
  const boxes = faces.map(({ box }) => box);
  const points = await findLandmarks68(image, boxes, session, card.input, angle);
  return faces.map((face, i) => {
    const five = fiveOf68(points[i]);
    const landmarks = face.landmarks ?? five;
    const signal = pointsSignal(landmarks, points[i]);
    const located = { ...face, landmarks, roll: rollOfEyes(five[0], five[1]), signal };
    return face.landmarks == null ? { ...located, landmarks68: points[i] } : located;
  });
}

/** The same face in a second detection; `null` if not found. */
async function lookAgain(
  image: RgbImage,
  face: LocatedFace,
  detector: Detector,
  landmarkModel: PipelineModel,
): Promise<LocatedFace | null> {
  const found = await detector.lookAgain(image, face, face.roll);
  if (found == null) return null;
  const [again] = await addLandmarks(image, [found], landmarkModel, face.roll);
  return again;
}
