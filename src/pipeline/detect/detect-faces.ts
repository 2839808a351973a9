import type { CardDetection, DetectionPass, ModelCard } from '../../models/model-card';
import { applySimilarity, squareToSource, warpSquare } from '../align/affine';
import type { BoundingBox, Landmarks, Point } from '../face.types';
import { toInputTensor } from '../input-tensor';
import type { RgbImage } from '../image/rgb-image';
import type { TensorSession } from '../tensor-session';
import { type Candidate, type DecodeCandidates, MAX_CANDIDATES, suppressOverlaps } from './candidate';
import { letterbox, type Letterbox } from './letterbox';
import { decodeRetinaface, decodeUltraLight } from './retinaface';
import { decodeRetinafaceInsightface } from './retinaface-insightface';
import { decodeScrfd } from './scrfd';
import { decodeSsdMobilenet } from './ssd-mobilenet';
import { decodeYunet } from './yunet';

/** A face found by the detector; landmarks only if its family returns them. Pixels of the given image. */
export interface DetectedFace {
  box: BoundingBox;
  landmarks?: Landmarks;
  detectionScore: number;
  /** Found only in the finer detection. */
  isFine?: true;
}

const DECODERS: Readonly<Record<string, DecodeCandidates>> = {
  'ultra-light': decodeUltraLight,
  'ssd-mobilenet': decodeSsdMobilenet,
  yunet: decodeYunet,
  retinaface: decodeRetinaface,
  'retinaface-insightface': decodeRetinafaceInsightface,
  scrfd: decodeScrfd,
};

/**
 * Enlarging by less than this costs as much as a small detector and reveals no face large enough for a verification: it
 * is skipped in the detection of one face.
 */
const WORTH_ENLARGING = 4 / 3;
/** Longest side in pixels of the canvas for small faces. */
const FINE_SIDE = 1280;
/** Faces of the finer detection with this share of their area inside a larger face are parts of it. */
const PART_OF_LARGER = 0.7;
/** Side of the square of a second detection in pixels, and its width as a multiple of the face. */
const SECOND_LOOK_SIDE = 320;
const SECOND_LOOK_ROOM = 2.2;
/**
 * Candidates compared in a second detection, best first. With minimum scores near 0, the number of faces reaches its
 * limit, each detected again in every rotation of the picture: with all candidates, each detection took seconds.
 */
const SECOND_LOOK_CANDIDATES = 100;

/** A loaded detector. */
export class Detector {
  /** Passes, run in order until one finds a face. */
  readonly passes: readonly DetectionPass[];
  private readonly detection: CardDetection;

  /** @param minDetectionScore - overrides the scores of the card's passes, [0, 1]. */
  constructor(
    private readonly session: TensorSession,
    private readonly card: ModelCard,
    private readonly minDetectionScore?: number,
  ) {
    this.detection = card.detection as CardDetection;
    this.passes = this.detection.passes;
  }

  /** Whether a face is too large in the picture for reliable points of this detector. */
  isTooLarge({ width, height }: RgbImage, { box }: DetectedFace): boolean {
    return box.height > (this.detection.maxTrustedHeight ?? Infinity) * Math.max(width, height);
  }

  /** Finds faces in one pass. */
  async detect(
    image: RgbImage,
    pass: DetectionPass,
    enlargeFrom = WORTH_ENLARGING,
    maxCandidates = MAX_CANDIDATES,
  ): Promise<DetectedFace[]> {
    const { card, detection } = this;
    const canvas = await letterbox(image, card.input, pass, detection.enlarge ? enlargeFrom : Infinity);
    const { data, dims } = toInputTensor(canvas.data, 1, canvas.width, canvas.height, card.input);
    const outputs = await this.session.run(data, dims);
    const minScore = this.minDetectionScore ?? pass.minDetectionScore;
    const candidates = DECODERS[card.family](outputs, canvas, detection, minScore);
    return suppressOverlaps(candidates, detection.nmsIou, maxCandidates).map((c) => toImage(c, canvas));
  }

  /** As {@link detect}, with small faces too: the picture is searched again in higher resolution. */
  async detectAll(image: RgbImage, pass: DetectionPass): Promise<DetectedFace[]> {
    const faces = await this.detect(image, pass, 1);
    const side = Math.min(Math.max(image.width, image.height), FINE_SIDE);
    // A detector of a fixed size has no finer detection.
    if (this.card.input.multipleOf == null || side <= (pass.inputSide ?? this.card.input.width)) return faces;
    return merge(faces, await this.detect(image, { ...pass, inputSide: side }), this.detection.nmsIou);
  }

  /**
   * Detects again in a square around a face, rotated so that the face is upright.
   *
   * @param roll - of the face, radians, clockwise.
   * @returns the face in the center, in pixels of the image; its box keeps the size it has in the square.
   */
  async lookAgain(image: RgbImage, { box }: DetectedFace, roll: number): Promise<DetectedFace | undefined> {
    const center = { x: box.x + box.width / 2 - 0.5, y: box.y + box.height / 2 - 0.5 };
    const side = Math.max(box.width, box.height) * SECOND_LOOK_ROOM;
    const toSource = squareToSource(center, side, SECOND_LOOK_SIDE, roll);
    const data = new Uint8Array(SECOND_LOOK_SIDE ** 2 * 3);
    warpSquare(image, toSource, SECOND_LOOK_SIDE, data, 0);
    const square = { data, width: SECOND_LOOK_SIDE, height: SECOND_LOOK_SIDE };
    const faces = await this.detect(square, this.passes[0], WORTH_ENLARGING, SECOND_LOOK_CANDIDATES);
    const middle = SECOND_LOOK_SIDE / 2;
    const isInMiddle = ({ box: { x, y, width, height } }: DetectedFace) =>
      x < middle && y < middle && x + width > middle && y + height > middle;
    const face = faces.filter(isInMiddle).reduce<DetectedFace | undefined>(larger, undefined);
    if (face == null) return undefined;
    const scale = side / SECOND_LOOK_SIDE;
    const at = applySimilarity(toSource, {
      x: face.box.x + face.box.width / 2 - 0.5,
      y: face.box.y + face.box.height / 2 - 0.5,
    });
    const [width, height] = [face.box.width * scale, face.box.height * scale];
    return {
      ...face,
      box: { x: at.x + 0.5 - width / 2, y: at.y + 0.5 - height / 2, width, height },
      landmarks: face.landmarks?.map((point) => applySimilarity(toSource, point)) as Landmarks | undefined,
    };
  }
}

/**
 * Adds the faces of the finer detection to those of the first, without parts of them. A face found by both keeps its
 * box and gets the higher score.
 */
function merge(first: DetectedFace[], fine: DetectedFace[], maxIou: number): DetectedFace[] {
  const areaOf = ({ box }: DetectedFace) => box.width * box.height;
  const isSame = (a: DetectedFace, b: DetectedFace) => iouOf(a.box, b.box) > maxIou;
  const isNew = (face: DetectedFace) =>
    first.every(
      (other) => !isSame(face, other) && overlapOf(face.box, other.box) <= PART_OF_LARGER * areaOf(face),
    );
  return [
    ...first.map((face) => ({
      ...face,
      detectionScore: Math.max(
        face.detectionScore,
        ...fine.filter((other) => isSame(face, other)).map(({ detectionScore }) => detectionScore),
      ),
    })),
    ...fine.filter(isNew).map((face) => ({ ...face, isFine: true as const })),
  ];
}

/** Intersection over union, [0, 1]. */
export function iouOf(a: BoundingBox, b: BoundingBox): number {
  const overlap = overlapOf(a, b);
  return overlap / (a.width * a.height + b.width * b.height - overlap);
}

function overlapOf(a: BoundingBox, b: BoundingBox): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, width) * Math.max(0, height);
}

function larger(a: DetectedFace | undefined, b: DetectedFace): DetectedFace {
  return a == null || b.box.width * b.box.height > a.box.width * a.box.height ? b : a;
}

function toImage(candidate: Candidate, { scaleX, scaleY, offset }: Letterbox): DetectedFace {
  const point = ({ x, y }: Point): Point => ({ x: (x - offset) / scaleX, y: (y - offset) / scaleY });
  const topLeft = point({ x: candidate.x1, y: candidate.y1 });
  const bottomRight = point({ x: candidate.x2, y: candidate.y2 });
  return {
    box: {
      x: topLeft.x,
      y: topLeft.y,
      width: bottomRight.x - topLeft.x,
      height: bottomRight.y - topLeft.y,
    },
    landmarks: candidate.landmarks?.map(point) as Landmarks | undefined,
    detectionScore: candidate.detectionScore,
  };
}
