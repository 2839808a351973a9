import type { CardPresentationAttack, ModelCard, PresentationClass } from '../../models/model-card';
import type { BoundingBox, FaceDetection, PresentationAttack } from '../face.types';
import { runBatch } from '../run-batch';
import type { RgbImage } from '../image/rgb-image';
import type { TensorSession } from '../tensor-session';
import { linearTaps } from '../align/upright-crop';

/** A loaded presentation attack model. */
export interface AttackModel {
  card: ModelCard;
  session: TensorSession;
}

/**
 * Minimum side of the input of a network, as a multiple of the longer side of the face box: the whole face. Photos this
 * tight are still classified correctly (docs/accuracy.md); the networks would see only a part of larger faces.
 */
const MIN_CONTEXT = 1;

/**
 * Scores every face with every model, one batched run per network.
 *
 * With several models, the mean of the softmaxes counts, and the mean of the minimum scores of their cards.
 *
 * @returns for each face the score and the label; `insufficient_context` if the whole image was taken for the face, or
 * if a model would see less than {@link MIN_CONTEXT}.
 * @see serengil/deepface@0286511:deepface/models/spoofing/FasNet.py, `analyze`
 */
export async function judgePresentations(
  image: RgbImage,
  faces: readonly Pick<FaceDetection, 'box' | 'landmarks'>[],
  models: readonly AttackModel[],
): Promise<PresentationAttack[]> {
  const crops = faces.map(({ box, landmarks }) =>
    landmarks == null ? [] : models.map(({ card }) => contextCrop(image, box, contextOf(card).scale)),
  );
  const isSeen = crops.map((ofFace) => ofFace.length > 0 && !ofFace.includes(null));
  const seen = crops.filter((_, face) => isSeen[face]) as BoundingBox[][];
  const scores = await Promise.all(
    models.map((model, m) =>
      runModel(
        model,
        image,
        seen.map((ofFace) => ofFace[m]),
      ),
    ),
  );
  const minScore = mean(models.map(({ card }) => contextOf(card).minRealScore));
  let at = 0;
  return isSeen.map((hasContext) => {
    if (!hasContext) return { score: null, label: 'insufficient_context' };
    const face = at++;
    return toAnswer(
      scores.map((ofModel) => ofModel[face]),
      minScore,
    );
  });
}

/** Score for each class of a card. */
type ClassScores = Partial<Record<PresentationClass, number>>;

async function runModel(
  { card, session }: AttackModel,
  image: RgbImage,
  crops: readonly BoundingBox[],
): Promise<ClassScores[]> {
  if (crops.length === 0) return [];
  const { width, height } = card.input;
  const pixels = new Uint8Array(crops.length * width * height * 3);
  crops.forEach((crop, i) => resizeCrop(image, crop, width, height, pixels, i * width * height * 3));
  const [{ data }] = await runBatch(session, card.input, pixels, crops.length);
  const { labels } = contextOf(card);
  return crops.map((_, face) => {
    const scores: ClassScores = {};
    labels.forEach((label, i) => {
      scores[label] = (scores[label] ?? 0) + data[face * labels.length + i];
    });
    return scores;
  });
}

function toAnswer(scores: readonly ClassScores[], minScore: number): PresentationAttack {
  const of = (label: PresentationClass) => mean(scores.map((ofModel) => ofModel[label] ?? 0));
  const score = of('real');
  if (score >= minScore) return { score, label: 'real' };
  return { score, label: of('mask') > of('print_or_screen') ? 'mask' : 'print_or_screen' };
}

/**
 * Input part of an image for a network: the square of `scale` times the longer side of the box around its center;
 * smaller if the image is smaller, and moved into the image if it leaves it.
 *
 * @returns whole pixels inside the image; `null` if the side would be below {@link MIN_CONTEXT}.
 * @see serengil/deepface@0286511:deepface/models/spoofing/FasNet.py, `crop` (MIT), after
 * minivision-ai/Silent-Face-Anti-Spoofing@11730bc:src/generate_patches.py (Apache-2.0), which keeps the aspect ratio of
 * the box: with the boxes of our detectors, squares accept more genuine faces (docs/accuracy.md).
 */
export function contextCrop(
  image: Pick<RgbImage, 'width' | 'height'>,
  box: BoundingBox,
  scale: number,
): BoundingBox | null {
  const face = Math.max(box.width, box.height);
  const side = Math.min(scale * face, image.width - 1, image.height - 1);
  // Written this way so that NaN fails.
  if (!(side >= face * MIN_CONTEXT)) return null;
  const [x, width] = span(box.x + box.width / 2, side, image.width);
  const [y, height] = span(box.y + box.height / 2, side, image.height);
  return { x, y, width, height };
}

/** First pixel and number of pixels of a length around a center, moved into 0 to `size` - 1. */
function span(middle: number, length: number, size: number): [first: number, count: number] {
  const start = Math.min(Math.max(middle - length / 2, 0), size - 1 - length);
  const first = Math.max(0, Math.trunc(start));
  const last = Math.min(size - 1, Math.trunc(start + length));
  return [first, last - first + 1];
}

/**
 * Resizes a part of an image: bilinear and not antialiased, the default of OpenCV, because the training data of the
 * networks was resized in this way.
 *
 * @param output - receives `Uint8Array [height * width * 3]` HWC RGB at `offset`.
 */
function resizeCrop(
  image: RgbImage,
  crop: BoundingBox,
  width: number,
  height: number,
  output: Uint8Array,
  offset: number,
): void {
  const { data } = image;
  const stride = image.width * 3;
  const columns = linearTaps(crop.width, width);
  const rows = linearTaps(crop.height, height);
  let to = offset;
  for (const row of rows.taps) {
    const above = (crop.y + rows.read[row.first]) * stride;
    const below = (crop.y + rows.read[row.second]) * stride;
    for (const column of columns.taps) {
      const left = (crop.x + columns.read[column.first]) * 3;
      const right = (crop.x + columns.read[column.second]) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const top =
          data[above + left + channel] * (1 - column.weight) + data[above + right + channel] * column.weight;
        const bottom =
          data[below + left + channel] * (1 - column.weight) + data[below + right + channel] * column.weight;
        output[to++] = top * (1 - row.weight) + bottom * row.weight + 0.5;
      }
    }
  }
}

function contextOf({ presentationAttack }: ModelCard): CardPresentationAttack {
  return presentationAttack as CardPresentationAttack;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
