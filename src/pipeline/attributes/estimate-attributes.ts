import type { ModelCard } from '../../models/model-card';
import { squareToSource, warpSquare } from '../align/affine';
import { alignFaces } from '../align/align-faces';
import {
  type AnalyzedFace,
  type Attribute,
  EXPRESSIONS,
  type Expression,
  type FaceDetection,
  type Gender,
  GENDERS,
} from '../face.types';
import { runBatch } from '../run-batch';
import { boxCrop, middle } from '../align/landmarks-68';
import type { RgbImage } from '../image/rgb-image';
import type { OutputTensor, TensorSession } from '../tensor-session';
import { cropUpright } from '../align/upright-crop';

/** A loaded attribute model. */
export interface AttributeModel {
  card: ModelCard;
  session: TensorSession;
}

type Attributes = Omit<AnalyzedFace, keyof FaceDetection>;

/** Reads the attributes of one face from the outputs of a model. */
type ReadAttributes = (outputs: readonly OutputTensor[], face: number, card: ModelCard) => Attributes;

/** Readers by the task of the model and the attribute. */
const READERS: Readonly<Record<Attribute, ReadAttributes>> = {
  age: ([output], face, { task }) => {
    // A regression, or the expected value over one class per year from 0 on.
    if (task === 'age-gender') return { age: output.data[face] };
    return { age: rowOf(output, face).reduce((sum, score, years) => sum + score * years, 0) };
  },
  gender: (outputs, face, { task, labels = GENDERS }) => {
    const genderScores = scoresOf(outputs[task === 'age-gender' ? 1 : 0], face, labels as readonly Gender[]);
    return { gender: best(genderScores), genderScores };
  },
  expression: ([output], face, { labels = EXPRESSIONS }) => {
    const expressionScores = scoresOf(output, face, labels as readonly Expression[]);
    return { expression: best(expressionScores), expressionScores };
  },
  race: ([output], face, { labels = [] }) => {
    const raceScores = scoresOf(output, face, labels);
    return { race: best(raceScores), raceScores };
  },
};

/** Side of the square crop for upright attribute models; it is resized if their input differs. */
const UPRIGHT_SIDE = 224;

/**
 * Estimates attributes of every face, one batched run per network.
 *
 * @param models - the model of each requested attribute; one model may serve several attributes.
 */
export async function estimateAttributes(
  image: RgbImage,
  faces: readonly FaceDetection[],
  models: readonly (readonly [Attribute, AttributeModel])[],
): Promise<Attributes[]> {
  if (faces.length === 0) return [];
  const crops = new Crops(image, faces);
  const outputs = new Map<AttributeModel, OutputTensor[]>();
  const attributes: Attributes[] = faces.map(() => ({}));
  for (const [attribute, model] of models) {
    const { card, session } = model;
    const output = outputs.get(model) ?? (await runBatch(session, card.input, crops.of(card), faces.length));
    outputs.set(model, output);
    faces.forEach((_, i) => Object.assign(attributes[i], READERS[attribute](output, i, card)));
  }
  return attributes;
}

/** Crops of the faces of an image; crops for several networks are made once. */
class Crops {
  private upright?: Uint8Array;

  constructor(
    private readonly image: RgbImage,
    private readonly faces: readonly FaceDetection[],
  ) {}

  /** @returns `Uint8Array [N * H * W * 3]` NHWC RGB. */
  of({ family, input: { width, height } }: ModelCard): Uint8Array {
    if (family === 'box-crop') return this.squares(width);
    const side = UPRIGHT_SIDE;
    this.upright ??= alignFaces(this.image, this.faces, family, { width: side, height: side });
    if (width === side && height === side) return this.upright;
    const bytes = width * height * 3;
    const resized = new Uint8Array(this.faces.length * bytes);
    const whole = { x: 0, y: 0, width: side, height: side };
    this.faces.forEach((_, i) => {
      const data = (this.upright as Uint8Array).subarray(i * side * side * 3, (i + 1) * side * side * 3);
      cropUpright({ data, width: side, height: side }, whole, null, width, height, resized, i * bytes);
    });
    return resized;
  }

  private squares(size: number): Uint8Array {
    const bytes = size * size * 3;
    const pixels = new Uint8Array(this.faces.length * bytes);
    this.faces.forEach((face, i) => {
      warpSquare(this.image, squareOf(face, size), size, pixels, i * bytes);
    });
    return pixels;
  }
}

/**
 * Upright square from the training of the default attribute networks: side = mean distance from the eyes to the mouth /
 * 0.45, its center slightly below the middle of eyes and mouth. Without landmarks: the square around the box.
 *
 * @see @vladmandic/face-api src/classes/FaceLandmarks.ts (alignDlib). Differs: no rounding to whole pixels, and the
 * square is not clipped at the edge of the image before padding.
 */
function squareOf({ box, landmarks }: FaceDetection, size: number) {
  if (landmarks == null) return boxCrop(box, size);
  const [leftEye, rightEye, , leftMouth, rightMouth] = landmarks;
  const mouth = middle([leftMouth, rightMouth]);
  const distance = (eye: { x: number; y: number }) => Math.hypot(mouth.x - eye.x, mouth.y - eye.y);
  const side = (distance(leftEye) + distance(rightEye)) / 2 / 0.45;
  const reference = middle([leftEye, rightEye, mouth]);
  return squareToSource({ x: reference.x, y: reference.y + (0.5 - 0.43) * side }, side, size);
}

function rowOf({ data, dims }: OutputTensor, row: number): Float32Array {
  const length = dims.at(-1) as number;
  return data.subarray(row * length, (row + 1) * length);
}

function scoresOf<L extends string>(
  output: OutputTensor,
  face: number,
  labels: readonly L[],
): Record<L, number> {
  const scores = rowOf(output, face);
  return Object.fromEntries(labels.map((label, i) => [label, scores[i]])) as Record<L, number>;
}

/** The label with the largest score; of equal scores, the first. */
function best<L extends string>(scores: Readonly<Record<L, number>>): L {
  const entries = Object.entries(scores) as [L, number][];
  return entries.reduce((top, entry) => (entry[1] > top[1] ? entry : top))[0];
}
