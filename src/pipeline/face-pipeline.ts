import { FaceError } from '../errors';
import type {
  CardDetection,
  CardEmbedding,
  DetectionPass,
  ModelCard,
  ModelTask,
} from '../model-store/model-card';
import { alignFaces, type FaceToAlign } from './align-faces';
import { lengthSignal, MAX_SIGNAL, scoreOf } from './alignment-score';
import { Detector } from './detect/detect-faces';
import { type EmbeddedFace, embedFaces } from './embed-faces';
import { measureFaces } from './face-quality';
import { estimateAttributes } from './estimate-attributes';
import type {
  AnalyzedFace,
  Attribute,
  FaceDetection,
  ImageFaces,
  Landmarks,
  RepresentedFace,
  StageTimings,
} from './face.types';
import type { FaceJob } from './face-job';
import { toInputTensor } from './input-tensor';
import { type LocatedFace, locateFaces } from './locate-faces';
import { judgePresentations } from './presentation-attack';
import { type DecodedImage, decodeImage, type RgbImage } from './rgb-image';
import { selectFaces } from './select-faces';
import { stretchLevels } from './stretch-levels';
import type { TensorSession } from './tensor-session';
import { type Rotation, turnBoxBack, turnImage, turnLandmarkBack } from './turn-image';

/** A model that is loaded. */
export interface PipelineModel {
  card: ModelCard;
  session: TensorSession;
}

/** Odds, as a logarithm, from which a face counts as aligned without a look at the other turns of the picture. */
const SURE_SIGNAL = 0.7;
/** Below this a face is not plausibly aligned, and is not embedded. */
const LEAST_SIGNAL = -4;
/** Another turn must have so many times the sound faces of the picture as it is: most pictures are upright. */
const UPRIGHT_ADVANTAGE = 2;

/** The likelier first: cameras are held on their side more often than upside down. */
const OTHER_ROTATIONS = [90, 270, 180] as const;

/** What one look at the picture, turned or not, has found. */
interface Look {
  image: RgbImage;
  rotation: Rotation;
  faceCount: number;
  /** Selected faces, embedded where the job asks for it. `signal`: of points and, once it is embedded, of its length. */
  faces: (LocatedFace & Partial<EmbeddedFace>)[];
  /** Faces that are aligned, to be expected by the odds. */
  soundFaces: number;
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
    const decoded = await clock.time('decodeMs', () => decodeImage(job.image, this.maxImagePixels));
    const image = stretchLevels(decoded);
    const look = job.wholeImage === 'always' ? nothingIn(image) : await this.find(image, job, clock);
    const { faces: described, unalignedCount } = await this.describe(look, job, clock);
    const faces = await this.judge(look.image, described, job, clock);
    return {
      imageWidth: image.originalWidth,
      imageHeight: image.originalHeight,
      rotation: rotationOf(look),
      detectionScale: image.width / image.originalWidth,
      faceCount: look.faceCount,
      unalignedCount,
      faces: faces.map((face) => toOriginalPixels(turnBack(face, look.rotation, image), image)),
      timings: clock.timings,
    };
  }

  /**
   * Looks at the picture and, where its largest face lies across or is in doubt, at its other turns: the best look counts.
   */
  private async find(image: DecodedImage, given: FaceJob, clock: StageClock): Promise<Look> {
    const job = { ...given, minFaceSize: (given.minFaceSize * image.width) / image.originalWidth };
    let best = await this.look(image, 0, job, clock);
    const untried: Rotation[] = job.autoRotate === false ? [] : [...OTHER_ROTATIONS];
    while (untried.length > 0) {
      // A face that lies across says which turn would bring it upright.
      const lead = untried.indexOf(rotationOf(best));
      if (lead < 0 && isSure(best)) break;
      const [rotation] = untried.splice(Math.max(lead, 0), 1);
      const turned = await clock.time('detectMs', async () => turnImage(image, rotation));
      try {
        const look = await this.look(turned, rotation, job, clock);
        const advantage = best.rotation === 0 && lead < 0 ? UPRIGHT_ADVANTAGE : 1;
        if (look.soundFaces > best.soundFaces * advantage) best = look;
      } catch (error) {
        // On its side a picture may show several faces where there is one.
        if (!(error instanceof FaceError) || error.code !== 'FACE_AMBIGUOUS') throw error;
      }
    }
    return best;
  }

  private async look(image: RgbImage, rotation: Rotation, job: FaceJob, clock: StageClock): Promise<Look> {
    const { card, session } = this.model(job.detector, 'detect');
    const { landmarkModel } = card.detection as CardDetection;
    const detector = new Detector(session, card, job.minDetectionScore);
    // Most pictures are upright: in another turn points have to look more like a face, unless an embedding will tell more.
    const isDoubtful = rotation !== 0 && job.task !== 'represent';
    let faceCount = 0;
    const find = async (pass: DetectionPass): Promise<LocatedFace[]> => {
      const found = await (job.selection === 'all'
        ? detector.detectAll(image, pass)
        : detector.detect(image, pass));
      // Selection needs boxes alone: landmarks are found for the chosen faces only.
      const selected = selectFaces(found, image.width, image.height, job);
      const points = landmarkModel == null ? null : this.model(landmarkModel, 'landmarks');
      const faces = await locateFaces(image, selected, detector, points, isDoubtful);
      const likely = faces.filter(({ signal }) =>
        isDoubtful ? signal >= 0 : signal > -MAX_SIGNAL,
      );
      faceCount = found.length - (selected.length - likely.length);
      return likely;
    };
    // In other turns one pass has to do: more find more that is no face.
    const passes = detector.passes.slice(0, rotation === 0 ? undefined : 1);
    const located = await clock.time('detectMs', async () => {
      for (const pass of passes) {
        const faces = await find(pass);
        if (faces.length > 0) return faces;
      }
      return [];
    });
    const look = { image, rotation, faceCount, faces: located, soundFaces: soundFacesOf(located) };
    if (job.task !== 'represent' || located.length === 0) return look;
    const faces = await this.embed(image, located, job, clock);
    return { ...look, faces, soundFaces: soundFacesOf(faces) };
  }

  /** Says of every face whether it may be a picture of one, where that is asked for. */
  private async judge<F extends FaceDetection>(
    image: RgbImage,
    faces: F[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<F[]> {
    if (job.attackModels == null || faces.length === 0) return faces;
    const models = job.attackModels.map((name) => this.model(name, 'presentation-attack'));
    const judged = await clock.time('presentationAttackMs', () => judgePresentations(image, faces, models));
    return faces.map((face, i) => ({ ...face, presentationAttack: judged[i] }));
  }

  private async embed<F extends FaceToAlign & { signal: number }>(
    image: RgbImage,
    faces: readonly F[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<(F & EmbeddedFace)[]> {
    const { session, card } = this.model(job.embedder, 'embed');
    const embedding = card.embedding as CardEmbedding;
    const pixels = await clock.time('alignMs', async () =>
      alignFaces(image, faces, card.family, card.input, job.align),
    );
    const embedded = await clock.time('embedMs', () => embedFaces(pixels, faces.length, session, card));
    return faces.map((face, i) => {
      // Of faces that are cut out by their boxes nobody has measured it.
      const length = job.align === false ? 0 : lengthSignal(embedded[i].embeddingNorm, embedding);
      return { ...face, ...embedded[i], signal: face.signal + length };
    });
  }

  /** What the job asks for of the faces that were found, and how many of them are left out because they are not aligned. */
  private async describe(
    look: Look,
    job: FaceJob,
    clock: StageClock,
  ): Promise<{ faces: (FaceDetection | RepresentedFace | AnalyzedFace)[]; unalignedCount: number }> {
    const { image, faces } = look;
    if (job.task === 'represent') {
      const aligned = faces.filter(isEmbedded).filter(({ signal }) => signal >= LEAST_SIGNAL);
      const unalignedCount = faces.length - aligned.length;
      if (aligned.length === 0 && job.wholeImage != null) {
        const whole = await this.embed(
          image,
          [{ ...wholeImage(image), signal: 0 }],
          { ...job, align: false },
          clock,
        );
        return { faces: whole.map(({ signal: _, ...face }) => face), unalignedCount };
      }
      const represented = aligned.map(({ landmarks68: _, roll: _roll, signal, ...face }) => ({
        ...face,
        alignmentScore: scoreOf(signal),
      }));
      if (!job.quality) return { faces: represented, unalignedCount };
      const qualities = await clock.time('alignMs', async () => measureFaces(image, represented));
      return {
        faces: represented.map((face, i) => ({
          ...face,
          ...(qualities[i] == null ? {} : { quality: qualities[i] }),
        })),
        unalignedCount,
      };
    }
    const detections: FaceDetection[] = faces.map(({ landmarks68: _, roll: _roll, signal, ...face }) => ({
      ...face,
      alignmentScore: scoreOf(signal),
    }));
    if (detections.length === 0 && job.wholeImage != null) detections.push(wholeImage(image));
    if (job.task === 'detect') return { faces: detections, unalignedCount: 0 };
    const models = Object.entries(job.attributes ?? {}).map(
      ([attribute, name]) => [attribute as Attribute, this.model(name)] as const,
    );
    const attributes = await clock.time('attributesMs', () => estimateAttributes(image, detections, models));
    return { faces: detections.map((face, i) => ({ ...face, ...attributes[i] })), unalignedCount: 0 };
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

function wholeImage({ width, height }: RgbImage): FaceDetection {
  return { box: { x: 0, y: 0, width, height }, landmarks: null, detectionScore: 0, alignmentScore: null };
}

function nothingIn(image: RgbImage): Look {
  return { image, rotation: 0, faceCount: 0, faces: [], soundFaces: 0 };
}

function soundFacesOf(faces: readonly { signal: number }[]): number {
  return faces.reduce((sum, { signal }) => sum + scoreOf(signal), 0);
}

/** The rotation that brings the largest face upright, which may lie across in the picture that was looked at. */
function rotationOf({ rotation, faces }: Look): Rotation {
  if (faces.length === 0) return 0;
  const quarters = Math.round(faces[0].roll / (Math.PI / 2));
  return ((((rotation - quarters * 90) % 360) + 360) % 360) as Rotation;
}

/** Whether most of the faces are aligned beyond doubt. */
function isSure({ faces }: Look): boolean {
  return faces.length > 0 && faces.filter(({ signal }) => signal >= SURE_SIGNAL).length * 2 >= faces.length;
}

function isEmbedded<F extends Partial<EmbeddedFace>>(face: F): face is F & EmbeddedFace {
  return face.embedding != null;
}

/** The face in the picture as it was before it was turned. */
function turnBack<F extends FaceDetection>(face: F, rotation: Rotation, image: RgbImage): F {
  if (rotation === 0) return face;
  const landmarks = face.landmarks?.map((point) => turnLandmarkBack(point, rotation, image)) ?? null;
  return { ...face, box: turnBoxBack(face.box, rotation, image), landmarks };
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
