import type { CardDetection, CardInput, ModelCard } from '../../model-store/model-card';
import type { BoundingBox, Landmarks, Point } from '../face.types';
import { toInputTensor } from '../input-tensor';
import type { RgbImage } from '../rgb-image';
import type { TensorSession } from '../tensor-session';
import { type Candidate, type DecodeCandidates, suppressOverlaps } from './candidate';
import { letterbox, type Letterbox } from './letterbox';
import { decodeRetinaface, decodeUltraLight } from './retinaface';
import { decodeRetinafaceInsightface } from './retinaface-insightface';
import { decodeScrfd } from './scrfd';
import { decodeSsdMobilenet } from './ssd-mobilenet';
import { decodeYunet } from './yunet';

/** A face as the detector found it; landmarks only where its family gives them. Pixels of the given image. */
export interface DetectedFace {
  box: BoundingBox;
  landmarks?: Landmarks;
  detectionScore: number;
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
 * Finds faces: the passes of the card run in order until one finds a face.
 *
 * @param minDetectionScore - overrides the scores of the passes, [0, 1].
 */
export async function detectFaces(
  image: RgbImage,
  session: TensorSession,
  card: ModelCard,
  minDetectionScore?: number,
): Promise<DetectedFace[]> {
  const detection = card.detection as CardDetection;
  const decode = DECODERS[card.family];
  for (const pass of detection.passes) {
    const canvas = await letterbox(image, card.input, pass, detection.enlarge);
    const candidates = decode(
      await runCanvas(session, card.input, canvas),
      canvas,
      detection,
      minDetectionScore ?? pass.minDetectionScore,
    );
    const faces = suppressOverlaps(candidates, detection.nmsIou).map((c) => toImage(c, canvas));
    if (faces.length > 0) return faces;
  }
  return [];
}

function runCanvas(session: TensorSession, input: CardInput, canvas: Letterbox) {
  const { data, dims } = toInputTensor(canvas.data, 1, canvas.width, canvas.height, input);
  return session.run(data, dims);
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
