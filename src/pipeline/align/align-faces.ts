import { estimateSimilarity, invertSimilarity, type Similarity, squareToSource, warpSquare } from './affine';
import type { BoundingBox, Landmarks, Point } from '../face.types';
import { middle } from './landmarks-68';
import type { RgbImage } from '../image/rgb-image';
import { cropUpright } from './upright-crop';

/** Landmarks for an alignment; all 68 if they come from the landmark model of the detector. */
interface AlignmentPoints {
  landmarks: Landmarks;
  landmarks68?: readonly Point[];
}

/** A face to align. */
export interface FaceToAlign {
  box: BoundingBox;
  /** `null`: it is cropped by its box. */
  landmarks: Landmarks | null;
  landmarks68?: readonly Point[];
}

type Alignment = (points: AlignmentPoints, size: number) => Similarity;

/**
 * Reference positions of the five landmarks in a 112 x 112 aligned face, pixels, in the order of {@link Landmarks}.
 *
 * @see deepinsight/insightface python-package/insightface/utils/face_align.py, the template of the ArcFace family and
 * SFace in training. Differs: none.
 */
const ARCFACE_112: readonly Point[] = [
  { x: 38.2946, y: 51.6963 },
  { x: 73.5318, y: 51.5014 },
  { x: 56.0252, y: 71.7366 },
  { x: 41.5493, y: 92.3655 },
  { x: 70.7299, y: 92.2041 },
];

/**
 * Mean positions of the points 17 to 67 of the 300-W annotation in a frame of 0 to 1.
 *
 * @see dlib/image_transforms/interpolation.h, get_face_chip_details (Boost license), the template of the 128-d network
 * in training. Differs: none.
 */
const DLIB_MEAN_X = [
  0.000213256, 0.0752622, 0.18113, 0.29077, 0.393397, 0.586856, 0.689483, 0.799124, 0.904991, 0.98004,
  0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217, 0.613373, 0.121737, 0.187122,
  0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428, 0.793132, 0.858516, 0.79751, 0.719335, 0.254149,
  0.340985, 0.428858, 0.490127, 0.551395, 0.639268, 0.726104, 0.642159, 0.556721, 0.490127, 0.423532,
  0.338094, 0.290379, 0.428096, 0.490127, 0.552157, 0.689874, 0.553364, 0.490127, 0.42689,
];
const DLIB_MEAN_Y = [
  0.106454, 0.038915, 0.0187482, 0.0344891, 0.0773906, 0.0773906, 0.0344891, 0.0187482, 0.038915, 0.106454,
  0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326, 0.216423,
  0.178758, 0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852, 0.178758, 0.216423, 0.244077,
  0.245099, 0.780233, 0.745405, 0.727388, 0.742578, 0.727388, 0.745405, 0.780233, 0.864805, 0.902192,
  0.909281, 0.902192, 0.864805, 0.784792, 0.778746, 0.785343, 0.778746, 0.784792, 0.824182, 0.831803,
  0.824182,
];
/** The mean shape, points 17 to 67. */
export const MEAN_SHAPE: readonly Point[] = DLIB_MEAN_X.map((x, i) => ({ x, y: DLIB_MEAN_Y[i] }));
/** Margin around the mean shape, as a fraction of it. The 128-d network was trained with this value. */
const DLIB_PADDING = 0.25;
/** Points that dlib aligns on: without the brows (17 to 26) and the lower lip (55 to 59, 65 to 67), which move. */
const DLIB_POINTS = [...range(27, 55), ...range(60, 65)];

/** The mean shape in pixels of a `size` x `size` chip, indexed by point number 17 to 67. */
function dlibTemplate(size: number): Point[] {
  const template: Point[] = [];
  const scale = (value: number) => ((DLIB_PADDING + value) / (1 + 2 * DLIB_PADDING)) * size;
  MEAN_SHAPE.forEach(({ x, y }, i) => (template[i + 17] = { x: scale(x), y: scale(y) }));
  return template;
}

const alignDlib: Alignment = ({ landmarks, landmarks68 }, size) => {
  const template = dlibTemplate(size);
  if (landmarks68 != null) {
    return estimateSimilarity(
      DLIB_POINTS.map((i) => landmarks68[i]),
      DLIB_POINTS.map((i) => template[i]),
    );
  }
  return estimateSimilarity(landmarks, [
    middle(template.slice(36, 42)),
    middle(template.slice(42, 48)),
    template[30],
    template[48],
    template[54],
  ]);
};

const alignArcface: Alignment = ({ landmarks }, size) =>
  estimateSimilarity(
    landmarks,
    ARCFACE_112.map(({ x, y }) => ({ x: (x * size) / 112, y: (y * size) / 112 })),
  );

/** Families with a template; the others are cropped by the box. */
const ALIGNMENTS: Readonly<Partial<Record<string, Alignment>>> = {
  'arcface-112': alignArcface,
  'dlib-150': alignDlib,
};

/**
 * Aligns every face for the family of an embedder: warped onto its template, or cropped upright.
 *
 * A face without landmarks, and every face if `isAligned` is false, is cropped by its box without rotation: letterboxed
 * on black. The crop is antialiased except for `upright-crop`, which follows DeepFace.
 *
 * @returns `Uint8Array [N * height * width * 3]` NHWC RGB, black outside the image.
 */
export function alignFaces(
  image: RgbImage,
  faces: readonly FaceToAlign[],
  family: string,
  { width, height }: { width: number; height: number },
  isAligned = true,
): Uint8Array {
  const align = ALIGNMENTS[family];
  const bytes = width * height * 3;
  const output = new Uint8Array(faces.length * bytes);
  faces.forEach(({ box, landmarks: found, landmarks68 }, i) => {
    const landmarks = isAligned ? found : null;
    if (align == null) cropUpright(image, box, landmarks, width, height, output, i * bytes);
    else if (landmarks == null) warpBox(image, box, width, output, i * bytes);
    else {
      const toSource = invertSimilarity(align({ landmarks, landmarks68 }, width));
      warpSquare(image, toSource, width, output, i * bytes);
    }
  });
  return output;
}

/** Letterboxes the content of a box into a square. */
function warpBox(image: RgbImage, box: BoundingBox, size: number, output: Uint8Array, offset: number): void {
  const x = Math.min(Math.max(Math.round(box.x), 0), image.width - 1);
  const y = Math.min(Math.max(Math.round(box.y), 0), image.height - 1);
  const width = Math.max(1, Math.min(Math.round(box.x + box.width), image.width) - x);
  const height = Math.max(1, Math.min(Math.round(box.y + box.height), image.height) - y);
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * image.width + x) * 3;
    data.set(image.data.subarray(from, from + width * 3), row * width * 3);
  }
  // If the box leaves the image, its center is kept, and the rest is black.
  const center = { x: box.x - x + box.width / 2 - 0.5, y: box.y - y + box.height / 2 - 0.5 };
  const side = Math.max(box.width, box.height);
  warpSquare({ data, width, height }, squareToSource(center, side, size), size, output, offset);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
