import { FaceError } from '../errors';
import type { ModelCard, ModelTask } from '../model-store/model-card';
import { alignFaces } from './align-faces';
import { type DetectedFace, detectFaces } from './detect/detect-faces';
import { embedFaces } from './embed-faces';
import { measureFaces } from './face-quality';
import { estimateAttributes } from './estimate-attributes';
import type {
  AnalyzedFace,
  Attribute,
  FaceDetection,
  ImageFaces,
  Landmarks,
  Point,
  RepresentedFace,
  StageTimings,
} from './face.types';
import type { FaceJob } from './face-job';
import { toInputTensor } from './input-tensor';
import { findLandmarks68, fiveOf68 } from './landmarks-68';
import { judgePresentations } from './presentation-attack';
import { type DecodedImage, decodeImage } from './rgb-image';
import { selectFaces } from './select-faces';
import type { TensorSession } from './tensor-session';

/** A model that is loaded. */
export interface PipelineModel {
  card: ModelCard;
  session: TensorSession;
}

/** A located face: what leaves the pipeline, and what only alignment needs. */
interface LocatedFace extends FaceDetection {
  landmarks68?: Point[];
}

/** Decode, detect, landmarks, select, align, embed: all that is done with one image, in the worker. */
export class FacePipeline {
  constructor(
    private readonly models: ReadonlyMap<string, PipelineModel>,
    private readonly maxImagePixels: number,
  ) {}

  /**
   * Runs one job.
   *
   * @throws {FaceError} IMAGE_UNSUPPORTED, IMAGE_TOO_LARGE, IMAGE_CORRUPT, FACE_AMBIGUOUS, MODEL_NOT_LOADED.
   */
  async run(job: FaceJob): Promise<ImageFaces<FaceDetection | RepresentedFace | AnalyzedFace>> {
    const clock = new StageClock();
    const detector = job.wholeImage === 'always' ? null : this.model(job.detector, 'detect');
    const image = await clock.time('decodeMs', () => decodeImage(job.image, this.maxImagePixels));
    const { faces, faceCount } =
      detector == null
        ? { faces: [], faceCount: 0 }
        : await clock.time('detectMs', () => this.find(image, job, detector));
    if (faceCount === 0 && job.wholeImage != null) faces.push(wholeImage(image));
    await this.judge(image, faces, job, clock);
    const done = await this.describe(image, faces, job, clock);
    return {
      imageWidth: image.originalWidth,
      imageHeight: image.originalHeight,
      faceCount,
      faces: done.map((face) => toOriginalPixels(face, image)),
      timings: clock.timings,
    };
  }

  private async find(
    image: DecodedImage,
    job: FaceJob,
    { card, session }: PipelineModel,
  ): Promise<{ faces: LocatedFace[]; faceCount: number }> {
    const found = await detectFaces(image, session, card, job.minDetectionScore);
    // Selection needs boxes alone: landmarks are found for the chosen faces only.
    const scale = image.width / image.originalWidth;
    const selected = selectFaces(found, image.width, image.height, {
      ...job,
      minFaceSize: job.minFaceSize * scale,
    });
    return { faces: await this.locate(image, selected, card), faceCount: found.length };
  }

  private async locate(
    image: DecodedImage,
    faces: DetectedFace[],
    detector: ModelCard,
  ): Promise<LocatedFace[]> {
    const landmarkModel = detector.detection?.landmarkModel;
    if (landmarkModel == null)
      return faces.map((face) => ({ ...face, landmarks: face.landmarks as Landmarks }));
    if (faces.length === 0) return [];
    const { session, card } = this.model(landmarkModel, 'landmarks');
    const points = await findLandmarks68(
      image,
      faces.map(({ box }) => box),
      session,
      card.input,
    );
    return faces.map((face, i) => ({ ...face, landmarks: fiveOf68(points[i]), landmarks68: points[i] }));
  }

  /** Says of every face whether it may be a picture of one, where that is asked for. */
  private async judge(
    image: DecodedImage,
    faces: LocatedFace[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<void> {
    if (job.attackModels == null || faces.length === 0) return;
    const models = job.attackModels.map((name) => this.model(name, 'presentation-attack'));
    const judged = await clock.time('presentationAttackMs', () => judgePresentations(image, faces, models));
    faces.forEach((face, i) => (face.presentationAttack = judged[i]));
  }

  private async describe(
    image: DecodedImage,
    faces: LocatedFace[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<(FaceDetection | RepresentedFace | AnalyzedFace)[]> {
    const detections = faces.map(({ landmarks68: _, ...detection }) => detection);
    if (job.task === 'detect' || faces.length === 0) return detections;
    if (job.task === 'analyze') {
      const models = Object.entries(job.attributes ?? {}).map(
        ([attribute, name]) => [attribute as Attribute, this.model(name)] as const,
      );
      const attributes = await clock.time('attributesMs', () =>
        estimateAttributes(image, detections, models),
      );
      return detections.map((face, i) => ({ ...face, ...attributes[i] }));
    }
    const { session, card } = this.model(job.embedder, 'embed');
    const pixels = await clock.time('alignMs', async () =>
      alignFaces(image, faces, card.family, card.input, job.align),
    );
    const embeddings = await clock.time('embedMs', () => embedFaces(pixels, faces.length, session, card));
    const represented = detections.map((face, i) => ({ ...face, ...embeddings[i] }));
    if (!job.quality) return represented;
    const qualities = await clock.time('alignMs', async () => measureFaces(image, detections));
    return represented.map((face, i) => {
      const quality = qualities[i];
      return quality == null ? face : { ...face, quality };
    });
  }

  private model(name: string, task?: ModelTask): PipelineModel {
    const model = this.models.get(name);
    if (model == null || (task != null && model.card.task !== task)) {
      throw new FaceError('MODEL_NOT_LOADED', `Model ${JSON.stringify(name)} is not loaded.`, {
        model: name,
      });
    }
    return model;
  }
}

/** Runs a model once on black pixels, so that the first request finds memory and kernels ready. */
export async function warmUp({ card, session }: PipelineModel): Promise<void> {
  const { width, height } = card.input;
  const { data, dims } = toInputTensor(new Uint8Array(width * height * 3), 1, width, height, card.input);
  await session.run(data, dims);
}

function wholeImage({ width, height }: DecodedImage): LocatedFace {
  return { box: { x: 0, y: 0, width, height }, landmarks: null, detectionScore: 0 };
}

/** Adds up the wall time of the stages of one job. */
class StageClock {
  readonly timings: StageTimings = {
    queueMs: 0,
    decodeMs: 0,
    detectMs: 0,
    alignMs: 0,
    embedMs: 0,
    attributesMs: 0,
    presentationAttackMs: 0,
  };

  async time<T>(stage: Exclude<keyof StageTimings, 'cache'>, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.timings[stage] += performance.now() - start;
    }
  }
}

function toOriginalPixels<F extends FaceDetection>(face: F, image: DecodedImage): F {
  const { width, height, originalWidth, originalHeight } = image;
  if (width === originalWidth && height === originalHeight) return face;
  // Multiplied first: the edge of the image stays a whole number.
  const toX = (x: number) => (x * originalWidth) / width;
  const toY = (y: number) => (y * originalHeight) / height;
  const { box, landmarks } = face;
  return {
    ...face,
    box: { x: toX(box.x), y: toY(box.y), width: toX(box.width), height: toY(box.height) },
    landmarks: landmarks && (landmarks.map(({ x, y }) => ({ x: toX(x), y: toY(y) })) as unknown as Landmarks),
  };
}
