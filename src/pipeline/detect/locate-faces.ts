import { type DetectedFace, type Detector, iouOf } from './detect-faces';
import { agreementSignal, pointsSignal } from '../align/alignment-score';
import type { Landmarks, Point } from '../face.types';
import { findLandmarks68, fiveOf68, rollOfEyes } from '../align/landmarks-68';
import type { RgbImage } from '../image/rgb-image';
import type { PipelineModel } from '../pipeline-model';

/** A face with its landmarks, and what they say of its alignment. */
export interface LocatedFace extends Omit<DetectedFace, 'landmarks'> {
  landmarks: Landmarks;
  /** Of the landmark model, where faces are aligned by them. */
  landmarks68?: Point[];
  /** Radians, clockwise. */
  roll: number;
  /** Logarithm of the odds that it is aligned, by its points. */
  signal: number;
}

/** Roll in radians from which a face is looked at again, uprighted. */
const LOOK_AGAIN_ROLL = (20 * Math.PI) / 180;
/** Of points that nothing checks: nothing speaks against them. */
const UNCHECKED_SIGNAL = 3;
/** Below this the points of a face are doubtful: it is looked at again. */
const LOOK_AGAIN_SIGNAL = 0;
/**
 * The same of a rolled face whose points are those of the landmark model: where they fit this well, its second pass has turned
 * the face upright already. A detector saw it rolled, and gives better points when it is looked at again.
 */
const LOOK_AGAIN_ROLLED_SIGNAL = 2;
/** Boxes that overlap by more than this, as intersection over union, are of one face; those of neighbors in a crowd do by less. */
const SAME_FACE_IOU = 0.4;

/**
 * Finds the landmarks of faces. A face that is rolled, or whose points do not look like one, is looked at again: uprighted,
 * and with room around it.
 *
 * @param landmarkModel - `null`: the points of the detector are taken as they are.
 * @param isDoubtful - every face is looked at again, and left out where it is not found then, or elsewhere.
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

/** A second look at something beside a face may find that face once more. */
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

/** The same face as a second look sees it; `null` where that does not find it. */
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
