import { createHash } from 'node:crypto';
import { FaceError } from '../errors';
import type { CardDetection, CardEmbedding, ModelTask } from '../models/model-card';
import { alignFaces, type FaceToAlign } from './align/align-faces';
import { lengthSignal, MAX_SIGNAL, scoreOf } from './align/alignment-score';
import { type DetectedFace, Detector } from './detect/detect-faces';
import { type EmbeddedFace, embedFaces } from './embed/embed-faces';
import { measureFaces } from './face-quality';
import { estimateAttributes } from './attributes/estimate-attributes';
import {
  type AnalyzedFace,
  type Attribute,
  type BoundingBox,
  type FaceDetection,
  type ImageFaces,
  type Landmarks,
  NO_TIMINGS,
  type RepresentedFace,
  type StageTimings,
} from './face.types';
import { cropFace } from './face-crop';
import type { FaceJob } from './face-job';
import type { ImageLimits } from './image/image-limits';
import { toInputTensor } from './input-tensor';
import { type LocatedFace, locateFaces } from './detect/locate-faces';
import { around, Picture } from './image/picture';
import { judgePresentations } from './liveness/presentation-attack';
import {
  type DecodedImage,
  type EncodedImage,
  MAX_DECODED_SIDE,
  readImage,
  type RgbImage,
} from './image/rgb-image';
import { selectFaces } from './select-faces';
import type { PipelineModel } from './pipeline-model';
import { type Rotation, turnBoxBack, turnLandmarkBack } from './image/turn-image';

/**
 * Logarithm of the odds at which a face counts as aligned without a detection in other rotations of the picture: with
 * the length of the embedding, and by the points alone. About one upright photo in a hundred is below.
 */
const SURE_SIGNAL = 1;
const SURE_POINTS = -0.5;
/** Faces below this are not plausibly aligned, and are not embedded. */
const LEAST_SIGNAL = -4;
/** Minimum signal of the points of a face found only by the finer detection, which finds more false faces. */
const LEAST_FINE_SIGNAL = -1;

/** Another rotation needs this many times the sound faces, or this much less doubt: most pictures are upright. */
const UPRIGHT_ADVANTAGE = 2;

/** Longest side of the picture for the detection of one face, in pixels: detectors shrink it further. */
const FIRST_SIDE = 400;
/**
 * Longer side of a face box in pixels below which the face is decoded in higher resolution: an aligned face has 112.
 */
const LEAST_FACE = 112;
/** Width of the decoded part around a face, as a multiple of the face: the area of a second detection at any angle. */
const PART_ROOM = 3.2;

/** Most likely first: cameras are held sideways more often than upside down. */
const OTHER_ROTATIONS = [90, 270, 180] as const;

/** Result of one detection in the picture, rotated or not. */
interface Look {
  /** The picture, or its part, with `faces`. */
  image: DecodedImage;
  /** Size of the picture for the detection, as a fraction of the file. */
  detectionScale: number;
  rotation: Rotation;
  faceCount: number;
  /** Remaining passes of the detector. */
  passesLeft: number;
  /** Selected faces, embedded if requested by the job. `signal`: of the points and, once embedded, of the length. */
  faces: (LocatedFace & Partial<EmbeddedFace>)[];
  /** Expected number of aligned faces, by the odds. */
  soundFaces: number;
}

/** Decode, detect, landmarks, select, align, embed: the processing of one image in the worker. */
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
    const judged = await this.judge(look.image, described, job, clock);
    const faces = judged.map((face) => toFilePixels(face, look, file));
    const rotation = rotationOf(look);
    return {
      imageWidth: file.originalWidth,
      imageHeight: file.originalHeight,
      rotation,
      detectionScale: look.detectionScale,
      faceCount: look.faceCount,
      unalignedCount,
      faces: job.crop ? await withCrops(faces, picture, rotation) : faces,
      timings: clock.timings,
      ...(job.hash ? { imageHash: createHash('sha256').update(job.image).digest('hex') } : {}),
    };
  }

  /**
   * Detects faces in the picture. If they are doubtful, the remaining passes follow; if the largest face lies sideways
   * or is still doubtful, the other rotations follow. The best result counts.
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
        // A repeated detection may find several faces in place of one.
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
      // A sideways face determines the rotation that makes it upright.
      const lead = untried.indexOf(rotationOf(best));
      if (lead < 0 && isSure(best, sureSignal)) break;
      const [rotation] = untried.splice(Math.max(lead, 0), 1);
      await lookOn(rotation, best.rotation === 0 && lead < 0 ? UPRIGHT_ADVANTAGE : 1);
    }
    return best;
  }

  /** Odds at which a face of this job is certain. */
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
    const whole = await picture.at(this.firstSide(job), rotation);
    const located = await this.locate(picture, whole, rotation, job, clock, passes);
    const { image, faces: found } = located;
    const detectionScale =
      Math.max(whole.width, whole.height) / Math.max(picture.originalWidth, picture.originalHeight);
    const look = { ...located, rotation, detectionScale, soundFaces: soundFacesOf(found) };
    // In another rotation, most faces are false: hopeless ones are not embedded.
    const isHopeful = rotation === 0 || found.some(({ signal }) => signal > LEAST_SIGNAL);
    if (job.task !== 'represent' || found.length === 0 || !isHopeful) return look;
    const faces = await this.embed(image, found, job, clock);
    return { ...look, faces, soundFaces: soundFacesOf(faces) };
  }

  /** Finds the selected faces of the job, and their points, in the last passes of the detector. */
  private async locate(
    picture: Picture,
    whole: DecodedImage,
    rotation: Rotation,
    job: FaceJob,
    clock: StageClock,
    lastPasses: number,
  ): Promise<Pick<Look, 'image' | 'faceCount' | 'passesLeft'> & { faces: LocatedFace[] }> {
    const { detector, points } = this.detectorOf(job);
    // Most pictures are upright: in another rotation, points must fit a face better, unless an embedding decides later.
    const isDoubtful = rotation !== 0 && job.task !== 'represent';
    const scale = Math.max(whole.width, whole.height) / Math.max(whole.originalWidth, whole.originalHeight);
    const selection = { ...job, minFaceSize: job.minFaceSize * scale };
    const all = detector.passes;
    // Other rotations get one pass: more passes find more false faces.
    const passes = rotation === 0 ? all.slice(Math.max(0, all.length - lastPasses)) : all.slice(0, 1);
    for (const [index, pass] of passes.entries()) {
      const found = await clock.time('detectMs', () =>
        job.selection === 'all' ? detector.detectAll(whole, pass) : detector.detect(whole, pass),
      );
      // Selection needs only boxes: landmarks are found for the selected faces only.
      const selected = selectFaces(found, whole.width, whole.height, selection);
      const { image, faces: enlarged } = await this.enlarge(picture, whole, rotation, selected, job);
      const faces = await clock.time('detectMs', () =>
        locateFaces(image, enlarged, detector, points, isDoubtful),
      );
      const least = isDoubtful ? 0 : -MAX_SIGNAL;
      const likely = faces.filter(({ signal, isFine }) => signal > (isFine ? LEAST_FINE_SIGNAL : least));
      // A pass with only false faces has found nothing.
      if (likely.length > 0) {
        const faceCount = found.length - (selected.length - likely.length);
        return { image, faceCount, faces: likely, passesLeft: passes.length - index - 1 };
      }
    }
    return { image: whole, faceCount: 0, faces: [], passesLeft: 0 };
  }

  /** A face in the resolution that the models need, as far as the file has it. */
  private async enlarge(
    picture: Picture,
    whole: DecodedImage,
    rotation: Rotation,
    faces: DetectedFace[],
    job: FaceJob,
  ): Promise<{ image: DecodedImage; faces: DetectedFace[] }> {
    const side = Math.max(whole.width, whole.height);
    const largest = Math.min(MAX_DECODED_SIDE, Math.max(picture.originalWidth, picture.originalHeight));
    // Several faces are detected in full resolution from the start.
    if (faces.length !== 1 || job.task === 'detect' || side >= largest) return { image: whole, faces };
    const [face] = faces;
    const faceSide = Math.max(face.box.width, face.box.height);
    if (faceSide >= LEAST_FACE) return { image: whole, faces };
    const wanted = Math.ceil((side * LEAST_FACE) / Math.max(faceSide, 1));
    // Shrinking by less than half costs more than it saves.
    const maxSide = wanted * 2 > largest ? largest : wanted;
    // Presentation attack models also see the surroundings, and the whole image may be taken for the face.
    const isPartEnough = job.attackModels == null && job.wholeImage == null;
    const image = !isPartEnough
      ? await picture.at(maxSide, rotation)
      : await picture.partAt(around(face.box, PART_ROOM), whole, maxSide, rotation);
    return { image, faces: [inFrame(face, whole.frame, image.frame)] };
  }

  private detectorOf(job: FaceJob): { detector: Detector; points: PipelineModel | null } {
    const { card, session } = this.model(job.detector, 'detect');
    const { landmarkModel } = card.detection as CardDetection;
    return {
      detector: new Detector(session, card, job.minDetectionScore),
      points: landmarkModel == null ? null : this.model(landmarkModel, 'landmarks'),
    };
  }

  /** Longest side of the picture for the detection, in pixels. */
  private firstSide(job: FaceJob): number {
    const models = [job.task === 'represent' ? job.embedder : null, ...Object.values(job.attributes ?? {})];
    // These models crop faces as DeepFace does, in full resolution.
    const isAsPeer = models.some((name) => name != null && this.model(name).card.family === 'upright-crop');
    return job.selection === 'all' || isAsPeer ? MAX_DECODED_SIDE : FIRST_SIDE;
  }

  /** Scores every face for presentation attacks, if requested. */
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
      // Not measured for faces cropped by their boxes.
      const length = job.align === false ? 0 : lengthSignal(embedded[i].embeddingNorm, embedding);
      return { ...face, ...embedded[i], signal: face.signal + length };
    });
  }

  /** Requested results for the found faces, and the number of faces omitted as not aligned. */
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

/** Runs a model once on black pixels, so that memory and kernels are ready for the first request. */
export async function warmUp({ card, session }: PipelineModel): Promise<void> {
  const { width, height } = card.input;
  const { data, dims } = toInputTensor(new Uint8Array(width * height * 3), 1, width, height, card.input);
  await session.run(data, dims);
}

function wholeImage({ width, height }: RgbImage): FaceDetection {
  return { box: { x: 0, y: 0, width, height }, landmarks: null, detectionScore: 0, alignmentScore: null };
}

function nothingIn(image: DecodedImage): Look {
  return { image, detectionScale: 1, rotation: 0, faceCount: 0, passesLeft: 0, faces: [], soundFaces: 0 };
}

function soundFacesOf(faces: readonly { signal: number }[]): number {
  return faces.reduce((sum, { signal }) => sum + scoreOf(signal), 0);
}

/** Rotation that makes the largest face upright, which may lie sideways in the picture. */
function rotationOf({ rotation, faces }: Look): Rotation {
  if (faces.length === 0) return 0;
  const quarters = Math.round(faces[0].roll / (Math.PI / 2));
  return ((((rotation - quarters * 90) % 360) + 360) % 360) as Rotation;
}

/**
 * Whether a result has more sound faces than another: `advantage` times as many, or that many times fewer doubtful
 * ones.
 */
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

async function withCrops<F extends FaceDetection>(
  faces: readonly F[],
  picture: Picture,
  rotation: Rotation,
): Promise<F[]> {
  const cropped: F[] = [];
  for (const face of faces) cropped.push({ ...face, crop: await cropFace(picture, face, rotation) });
  return cropped;
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

/**
 * Boxes and landmarks in a picture of another size, or another part of it. @param from, to - position of the whole
 * picture in each.
 */
function inFrame<F extends { box: BoundingBox; landmarks?: Landmarks | null }>(
  face: F,
  from: BoundingBox,
  to: BoundingBox,
): F {
  // Multiplied first, so that the edge of the picture stays a whole number.
  const toX = (x: number) => ((x - from.x) * to.width) / from.width + to.x;
  const toY = (y: number) => ((y - from.y) * to.height) / from.height + to.y;
  const { x, y, width, height } = face.box;
  return {
    ...face,
    box: {
      x: toX(x),
      y: toY(y),
      width: (width * to.width) / from.width,
      height: (height * to.height) / from.height,
    },
    // Landmarks count from the center of the first pixel, boxes from its corner.
    ...(face.landmarks == null
      ? {}
      : {
          landmarks: face.landmarks.map((point) => ({
            x: toX(point.x + 0.5) - 0.5,
            y: toY(point.y + 0.5) - 0.5,
          })),
        }),
  };
}

/** The face in pixels of the file: without rotation, in original size. */
function toFilePixels<F extends FaceDetection>(
  face: F,
  { image, rotation }: Look,
  { originalWidth, originalHeight }: Pick<EncodedImage, 'originalWidth' | 'originalHeight'>,
): F {
  const isAcross = rotation % 180 !== 0;
  const size = isAcross ? { width: image.height, height: image.width } : image;
  const landmarks = face.landmarks?.map((point) => turnLandmarkBack(point, rotation, size));
  const upright = {
    ...face,
    box: turnBoxBack(face.box, rotation, size),
    landmarks: (landmarks ?? null) as Landmarks | null,
  };
  return inFrame(upright, turnBoxBack(image.frame, rotation, size), {
    x: 0,
    y: 0,
    width: originalWidth,
    height: originalHeight,
  });
}
