import { FaceError } from '../errors';
import type { CardDetection, CardEmbedding, ModelCard, ModelTask } from '../model-store/model-card';
import { alignFaces, type FaceToAlign } from './align-faces';
import { lengthSignal, MAX_SIGNAL, scoreOf } from './alignment-score';
import { Detector } from './detect/detect-faces';
import { type EmbeddedFace, embedFaces } from './embed-faces';
import { measureFaces } from './face-quality';
import { estimateAttributes } from './estimate-attributes';
import {
  type AnalyzedFace,
  type Attribute,
  type FaceDetection,
  type ImageFaces,
  type Landmarks,
  NO_TIMINGS,
  type RepresentedFace,
  type StageTimings,
} from './face.types';
import type { FaceJob } from './face-job';
import type { ImageLimits } from './image-limits';
import { toInputTensor } from './input-tensor';
import { type LocatedFace, locateFaces } from './locate-faces';
import { Picture } from './picture';
import { judgePresentations } from './presentation-attack';
import {
  type DecodedImage,
  type EncodedImage,
  MAX_DECODED_SIDE,
  readImage,
  type RgbImage,
} from './rgb-image';
import { selectFaces } from './select-faces';
import type { TensorSession } from './tensor-session';
import { type Rotation, turnBoxBack, turnLandmarkBack } from './turn-image';

/** A model that is loaded. */
export interface PipelineModel {
  card: ModelCard;
  session: TensorSession;
}

/**
 * Odds, as a logarithm, from which a face counts as aligned without a look at the other turns of the picture: with the length of
 * the embedding, and by the points alone. About one upright photo in a hundred is below.
 */
const SURE_SIGNAL = 1;
const SURE_POINTS = -0.5;
/** Below this a face is not plausibly aligned, and is not embedded. */
const LEAST_SIGNAL = -4;
/** By its points alone, a face that only the finer look has found is taken for none below this: it finds things more often. */
const LEAST_FINE_SIGNAL = -1;

/** So many times the sound faces, or so much less doubt, another turn must have: most pictures are upright. */
const UPRIGHT_ADVANTAGE = 2;

/** Longest side of the picture in which one face is looked for, pixels: detectors shrink it further. */
const FIRST_SIDE = 400;
/** Distance of the eyes in pixels under which a face is looked up in more pixels: that in an aligned face is 35 or less. */
const LEAST_EYES = 38;

/** The likelier first: cameras are held on their side more often than upside down. */
const OTHER_ROTATIONS = [90, 270, 180] as const;

/** What one look at the picture, turned or not, has found. */
interface Look {
  /** The picture that `faces` are located in. */
  image: RgbImage;
  /** Size of the picture that they were looked for in, as a fraction of the file. */
  detectionScale: number;
  rotation: Rotation;
  faceCount: number;
  /** Passes of the detector that were not needed. */
  passesLeft: number;
  /** Selected faces, embedded where the job asks for it. `signal`: of points and, once it is embedded, of its length. */
  faces: (LocatedFace & Partial<EmbeddedFace>)[];
  /** Faces that are aligned, to be expected by the odds. */
  soundFaces: number;
}

/** Decode, detect, landmarks, select, align, embed: all that is done with one image, in the worker. */
export class FacePipeline {
  constructor(
    private readonly models: ReadonlyMap<string, PipelineModel>,
    private readonly imageLimits: ImageLimits,
  ) {}

  /**
   * Runs one job.
   *
   * @throws {FaceError} IMAGE_UNSUPPORTED, IMAGE_TOO_LARGE, IMAGE_CORRUPT, IMAGE_DECODE_TIMEOUT, FACE_AMBIGUOUS, MODEL_NOT_LOADED.
   */
  async run(job: FaceJob): Promise<ImageFaces<FaceDetection | RepresentedFace | AnalyzedFace>> {
    const clock = new StageClock();
    const file = await clock.time('decodeMs', () => readImage(job.image, this.imageLimits));
    const picture = new Picture(file, (decode) => clock.time('decodeMs', decode));
    const look =
      job.wholeImage === 'always'
        ? nothingIn(await picture.at(MAX_DECODED_SIDE, 0))
        : await this.find(picture, job, clock);
    const { faces: described, unalignedCount } = await this.describe(look, job, clock);
    const faces = await this.judge(look.image, described, job, clock);
    return {
      imageWidth: file.originalWidth,
      imageHeight: file.originalHeight,
      rotation: rotationOf(look),
      detectionScale: look.detectionScale,
      faceCount: look.faceCount,
      unalignedCount,
      faces: faces.map((face) => toFilePixels(face, look, file)),
      timings: clock.timings,
    };
  }

  /**
   * Looks at the picture and, where its faces are in doubt, in the passes that are left; where its largest face lies across or
   * is in doubt still, at its other turns. The best look counts.
   */
  private async find(picture: Picture, job: FaceJob, clock: StageClock): Promise<Look> {
    const sureSignal = this.sureSignal(job);
    let best = await this.look(picture, 0, job, clock);
    const lookOn = async (rotation: Rotation, advantage: number, passes?: number): Promise<Look | null> => {
      try {
        const look = await this.look(picture, rotation, job, clock, passes);
        if (isBetter(look, best, advantage)) best = look;
        return look;
      } catch (error) {
        // A look that is made out of doubt may see several faces where there is one.
        if (!(error instanceof FaceError) || error.code !== 'FACE_AMBIGUOUS') throw error;
        return null;
      }
    };
    let { passesLeft } = best;
    while (passesLeft > 0 && !isSure(best, sureSignal)) {
      passesLeft = (await lookOn(0, 1, passesLeft))?.passesLeft ?? 0;
    }
    const untried: Rotation[] = job.autoRotate === false ? [] : [...OTHER_ROTATIONS];
    while (untried.length > 0) {
      // A face that lies across says which turn would bring it upright.
      const lead = untried.indexOf(rotationOf(best));
      if (lead < 0 && isSure(best, sureSignal)) break;
      const [rotation] = untried.splice(Math.max(lead, 0), 1);
      await lookOn(rotation, best.rotation === 0 && lead < 0 ? UPRIGHT_ADVANTAGE : 1);
    }
    return best;
  }

  /** Odds from which a face of this job is sure. */
  private sureSignal({ task, embedder, align }: FaceJob): number {
    if (task !== 'represent' || align === false) return SURE_POINTS;
    return this.model(embedder, 'embed').card.embedding?.rawLength == null ? SURE_POINTS : SURE_SIGNAL;
  }

  private async look(
    picture: Picture,
    rotation: Rotation,
    job: FaceJob,
    clock: StageClock,
    passes = Infinity,
  ): Promise<Look> {
    const small = await picture.at(this.firstSide(job), rotation);
    const located = await clock.time('detectMs', () => this.locate(small, rotation, job, passes));
    const detectionScale =
      Math.max(small.width, small.height) / Math.max(picture.originalWidth, picture.originalHeight);
    const { image, faces: sharp } = await this.sharpen(picture, small, rotation, located.faces, job, clock);
    const look = {
      ...located,
      image,
      rotation,
      detectionScale,
      faces: sharp,
      soundFaces: soundFacesOf(sharp),
    };
    // In another turn most faces are none: what has no chance is not embedded.
    const isHopeful = rotation === 0 || sharp.some(({ signal }) => signal > LEAST_SIGNAL);
    if (job.task !== 'represent' || sharp.length === 0 || !isHopeful) return look;
    const faces = await this.embed(image, sharp, job, clock);
    return { ...look, faces, soundFaces: soundFacesOf(faces) };
  }

  /** Finds the faces that the job selects, and their points, in the last passes of the detector. */
  private async locate(
    image: DecodedImage,
    rotation: Rotation,
    job: FaceJob,
    lastPasses: number,
  ): Promise<{ faceCount: number; faces: LocatedFace[]; passesLeft: number }> {
    const { detector, points } = this.detectorOf(job);
    // Most pictures are upright: in another turn points have to look more like a face, unless an embedding will tell more.
    const isDoubtful = rotation !== 0 && job.task !== 'represent';
    const scale = Math.max(image.width, image.height) / Math.max(image.originalWidth, image.originalHeight);
    const selection = { ...job, minFaceSize: job.minFaceSize * scale };
    const all = detector.passes;
    // In other turns one pass has to do: more find more that is no face.
    const passes = rotation === 0 ? all.slice(Math.max(0, all.length - lastPasses)) : all.slice(0, 1);
    for (const [index, pass] of passes.entries()) {
      const found = await (job.selection === 'all'
        ? detector.detectAll(image, pass)
        : detector.detect(image, pass));
      // Selection needs boxes alone: landmarks are found for the chosen faces only.
      const selected = selectFaces(found, image.width, image.height, selection);
      const faces = await locateFaces(image, selected, detector, points, isDoubtful);
      const least = isDoubtful ? 0 : -MAX_SIGNAL;
      const likely = faces.filter(({ signal, isFine }) => signal > (isFine ? LEAST_FINE_SIGNAL : least));
      // A pass whose faces look like none has found nothing.
      if (likely.length > 0) {
        const faceCount = found.length - (selected.length - likely.length);
        return { faceCount, faces: likely, passesLeft: passes.length - index - 1 };
      }
    }
    return { faceCount: 0, faces: [], passesLeft: 0 };
  }

  /** The faces in a picture in which they have the pixels that the models need, as far as the file has them. */
  private async sharpen(
    picture: Picture,
    small: DecodedImage,
    rotation: Rotation,
    faces: LocatedFace[],
    job: FaceJob,
    clock: StageClock,
  ): Promise<{ image: DecodedImage; faces: LocatedFace[] }> {
    const eyes = Math.min(
      ...faces.map(({ landmarks: [left, right] }) => Math.hypot(right.x - left.x, right.y - left.y)),
    );
    const side = Math.max(small.width, small.height);
    const largest = Math.min(MAX_DECODED_SIDE, Math.max(picture.originalWidth, picture.originalHeight));
    if (faces.length === 0 || job.task === 'detect' || eyes >= LEAST_EYES || side >= largest)
      return { image: small, faces };
    // Shrinking by less than a half costs more than it saves.
    const wanted = Math.ceil((side * LEAST_EYES) / Math.max(eyes, 1));
    const image = await picture.at(wanted * 2 > largest ? largest : wanted, rotation);
    const { detector, points } = this.detectorOf(job);
    const [x, y] = [image.width / small.width, image.height / small.height];
    const scaled = faces.map(({ box, landmarks68, landmarks, detectionScore }) => ({
      box: { x: box.x * x, y: box.y * y, width: box.width * x, height: box.height * y },
      // Points of the landmark model are found again; those of the detector are as good as they were.
      landmarks:
        landmarks68 == null
          ? (landmarks.map((p) => ({ x: p.x * x, y: p.y * y })) as unknown as Landmarks)
          : undefined,
      detectionScore,
    }));
    return {
      image,
      faces: await clock.time('detectMs', () => locateFaces(image, scaled, detector, points, false)),
    };
  }

  private detectorOf(job: FaceJob): { detector: Detector; points: PipelineModel | null } {
    const { card, session } = this.model(job.detector, 'detect');
    const { landmarkModel } = card.detection as CardDetection;
    return {
      detector: new Detector(session, card, job.minDetectionScore),
      points: landmarkModel == null ? null : this.model(landmarkModel, 'landmarks'),
    };
  }

  /** Longest side of the picture in which faces are looked for, pixels. */
  private firstSide(job: FaceJob): number {
    const models = [job.task === 'represent' ? job.embedder : null, ...Object.values(job.attributes ?? {})];
    // These cut faces out as their peer does, from all pixels.
    const isAsPeer = models.some((name) => name != null && this.model(name).card.family === 'upright-crop');
    return job.selection === 'all' || isAsPeer ? MAX_DECODED_SIDE : FIRST_SIDE;
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
      const represented = aligned.map(({ landmarks68: _, roll: _roll, isFine: _fine, signal, ...face }) => ({
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
    const detections: FaceDetection[] = faces.map(
      ({ landmarks68: _, roll: _roll, isFine: _fine, signal, ...face }) => ({
        ...face,
        alignmentScore: scoreOf(signal),
      }),
    );
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
  return { image, detectionScale: 1, rotation: 0, faceCount: 0, passesLeft: 0, faces: [], soundFaces: 0 };
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

/** Whether a look has more sound faces than another: `advantage` times as many, or so many times fewer doubtful ones. */
function isBetter(look: Look, other: Look, advantage: number): boolean {
  const doubtOf = ({ faces, soundFaces }: Look) => faces.length - soundFaces;
  return (
    look.soundFaces > other.soundFaces &&
    (look.soundFaces >= other.soundFaces * advantage || doubtOf(look) * advantage <= doubtOf(other))
  );
}

/** Whether most of the faces are aligned beyond doubt, or the largest is. */
function isSure({ faces }: Look, sureSignal: number): boolean {
  const sure = faces.filter(({ signal }) => signal >= sureSignal);
  return faces.length > 0 && (sure.includes(faces[0]) || sure.length * 2 >= faces.length);
}

function isEmbedded<F extends Partial<EmbeddedFace>>(face: F): face is F & EmbeddedFace {
  return face.embedding != null;
}

/** Adds up the wall time of the stages of one job. */
class StageClock {
  readonly timings: StageTimings = { ...NO_TIMINGS };

  async time<T>(stage: Exclude<keyof StageTimings, 'cache'>, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.timings[stage] += performance.now() - start;
    }
  }
}

/** The face in pixels of the file: as it is without the turn, and as large as it is. */
function toFilePixels<F extends FaceDetection>(
  face: F,
  { image, rotation }: Look,
  { originalWidth, originalHeight }: Pick<EncodedImage, 'originalWidth' | 'originalHeight'>,
): F {
  const isAcross = rotation % 180 !== 0;
  const [width, height] = isAcross ? [image.height, image.width] : [image.width, image.height];
  // Multiplied first: the edge of the image stays a whole number.
  const toX = (x: number) => (x * originalWidth) / width;
  const toY = (y: number) => (y * originalHeight) / height;
  const box = turnBoxBack(face.box, rotation, { width, height });
  const landmarks = face.landmarks?.map((point) => turnLandmarkBack(point, rotation, { width, height }));
  return {
    ...face,
    box: { x: toX(box.x), y: toY(box.y), width: toX(box.width), height: toY(box.height) },
    landmarks:
      landmarks == null
        ? null
        : (landmarks.map(({ x, y }) => ({ x: toX(x), y: toY(y) })) as unknown as Landmarks),
  };
}
