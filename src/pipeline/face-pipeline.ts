import { FaceError } from '../errors';
import type { ModelCard, ModelTask } from '../model-store/model-card';
import { alignFaces } from './align-faces';
import { detectFaces, type DetectedFace } from './detect/detect-faces';
import { embedFaces } from './embed-faces';
import { measureFaces } from './face-quality';
import { estimateAttributes } from './estimate-attributes';
import type {
  AnalyzedFace,
  FaceDetection,
  ImageFaces,
  Landmarks,
  Point,
  RepresentedFace,
  StageTimings,
} from './face.types';
import type { FaceJob } from './face-job';
import { findLandmarks68, fiveOf68 } from './landmarks-68';
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
    const detector = this.model(job.detector, 'detect');
    const image = await clock.time('decodeMs', () => decodeImage(job.image, this.maxImagePixels));
    const found = await clock.time('detectMs', () =>
      detectFaces(image, detector.session, detector.card, job.minDetectionScore),
    );
    const selected = this.select(found, image, job);
    const faces = await clock.time('detectMs', () => this.locate(image, selected, detector.card));
    const done = await this.describe(image, faces, job, clock);
    return {
      imageWidth: image.originalWidth,
      imageHeight: image.originalHeight,
      faceCount: found.length,
      faces: done.map((face) => toOriginalPixels(face, image)),
      timings: clock.timings,
    };
  }

  private select(found: DetectedFace[], image: DecodedImage, job: FaceJob): DetectedFace[] {
    // Selection needs boxes alone: landmarks are found for the chosen faces only.
    const scale = image.width / image.originalWidth;
    return selectFaces(found, image.width, image.height, { ...job, minFaceSize: job.minFaceSize * scale });
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

  private async describe(
    image: DecodedImage,
    faces: LocatedFace[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<(FaceDetection | RepresentedFace | AnalyzedFace)[]> {
    const detections = faces.map(({ landmarks68: _, ...detection }) => detection);
    if (job.task === 'detect' || faces.length === 0) return detections;
    if (job.task === 'analyze') {
      const ageGender = this.modelOfTask('age-gender');
      const expression = this.modelOfTask('expression');
      const attributes = await clock.time('attributesMs', () =>
        estimateAttributes(image, detections, ageGender, expression),
      );
      return detections.map((face, i) => ({ ...face, ...attributes[i] }));
    }
    const { session, card } = this.model(job.embedder, 'embed');
    const pixels = await clock.time('alignMs', async () =>
      alignFaces(image, faces, card.family, card.input.width),
    );
    const embeddings = await clock.time('embedMs', () => embedFaces(pixels, faces.length, session, card));
    const represented = detections.map((face, i) => ({ ...face, ...embeddings[i] }));
    if (!job.quality) return represented;
    const qualities = await clock.time('alignMs', async () => measureFaces(image, detections));
    return represented.map((face, i) => ({ ...face, quality: qualities[i] }));
  }

  private model(name: string, task: ModelTask): PipelineModel {
    const model = this.models.get(name);
    if (model == null || model.card.task !== task) {
      throw new FaceError('MODEL_NOT_LOADED', `Model ${JSON.stringify(name)} is not loaded.`, {
        model: name,
      });
    }
    return model;
  }

  private modelOfTask(task: ModelTask): PipelineModel {
    for (const model of this.models.values()) if (model.card.task === task) return model;
    throw new FaceError('MODEL_NOT_LOADED', `No model of task ${task} is loaded.`, { task });
  }
}

/** Runs a model once on black pixels, so that the first request finds memory and kernels ready. */
export async function warmUp({ card, session }: PipelineModel): Promise<void> {
  const { width, height, layout, dtype } = card.input;
  const values = width * height * 3;
  await session.run(
    dtype === 'uint8' ? new Uint8Array(values) : new Float32Array(values),
    layout === 'NHWC' ? [1, height, width, 3] : [1, 3, height, width],
  );
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
  const sx = image.originalWidth / image.width;
  const sy = image.originalHeight / image.height;
  if (sx === 1 && sy === 1) return face;
  const { box, landmarks } = face;
  return {
    ...face,
    box: { x: box.x * sx, y: box.y * sy, width: box.width * sx, height: box.height * sy },
    landmarks: landmarks.map(({ x, y }) => ({ x: x * sx, y: y * sy })) as unknown as Landmarks,
  };
}
