import { createHash } from 'node:crypto';
import { FaceError } from '../errors';
import { type CardCalibration, CALIBRATION_FMRS } from '../models/model-card';
import { assertEmbedding } from '../pipeline/embed/compare-embeddings';
import {
  type AnalyzedFace,
  ATTRIBUTES,
  type FaceDetection,
  type ImageFaces,
  type PixelQuality,
  type PresentationAttack,
  type PresentationAttackPolicy,
  type RepresentedFace,
  NO_TIMINGS,
} from '../pipeline/face.types';
import { selectFaces } from '../pipeline/select-faces';
import {
  type AnalyzeCallOptions,
  type EmbedderInfo,
  type EngineStatus,
  type FaceCallOptions,
  FaceModel,
  type ModelStatus,
  type RepresentCallOptions,
} from './face-model';
import { type DecisionDefaults, DEFAULT_DECISION, defaultDistances } from './thresholds';

/**
 * A face that a {@link FakeFaceModel} finds. Calls that ask for it get its `presentationAttack`; by default it is real, with a
 * score of 0.99.
 */
export type FakeFace = Partial<AnalyzedFace> & {
  /** Faces with the same person are mated: distance near 0. Others are far apart: distance near 1. */
  person: string;
  /** For calls with `quality`. @defaultValue sharp and well lit */
  quality?: Partial<PixelQuality>;
  /** False: it is found but not embedded, and `represent` counts it in `unalignedCount`. @defaultValue true */
  aligned?: boolean;
};

/** An image that a {@link FakeFaceModel} knows. */
export interface FakeImage {
  /** Width in pixels of the image as its file shows it. @defaultValue 640 */
  imageWidth?: number;
  /** @defaultValue 480 */
  imageHeight?: number;
  /**
   * Degrees clockwise that turn its faces upright: without `autoRotate` none of them is aligned.
   * @defaultValue 0
   */
  rotation?: 0 | 90 | 180 | 270;
  faces: FakeFace[];
}

/** Same as of the default embedder. */
const DIMENSIONS = 512;

const SIMILARITIES = [0, 0.2, 0.35, 0.4, 0.45, 0.5, 0.55];
/** Made up. Mated faces are far over its last point, others far under it. */
const CALIBRATION: CardCalibration = {
  date: '2026-01-01',
  detector: 'fake-detector',
  sets: [{ name: 'made up', people: 5000, photos: 10_000, nonMatedPairs: 49_990_000, matedPairs: 5000 }],
  points: CALIBRATION_FMRS.map((fmr, i) => ({
    fmr,
    minSimilarity: SIMILARITIES[i],
    falseMatches: Math.round(fmr * 49_990_000),
    nonMatedPairs: 49_990_000,
    fnmr: 0,
    isExtrapolated: false,
  })),
};

/**
 * Stands in for the real model in test suites: no weights, no processes.
 *
 * Deterministic (an embedding follows from the person's name) and strict: an image that was not announced with
 * {@link FakeFaceModel.addImage} throws, so that a suite never passes by accident.
 *
 * @example
 * const model = new FakeFaceModel();
 * model.addImage(aliceJpeg, { faces: [{ person: 'alice' }] });
 * Test.createTestingModule({ imports: [AppModule] }).overrideProvider(FaceModel).useValue(model);
 *
 * @publicApi
 */
export class FakeFaceModel extends FaceModel {
  readonly defaultDetector = 'fake-detector';
  readonly defaultEmbedder = 'fake-embedder';
  readonly decisionDefaults: DecisionDefaults;
  /** Policy for calls that set none; a suite may change it. */
  presentationAttack: PresentationAttackPolicy = 'off';
  private readonly images = new Map<string, FakeImage>();
  private closed = false;

  /** @param defaults - decision parameters where neither the call nor the gallery sets any. */
  constructor(defaults: Partial<DecisionDefaults> = {}) {
    super();
    this.decisionDefaults = { ...DEFAULT_DECISION, ...defaults };
  }

  /** Announces an image, recognized by the hash of its bytes. */
  addImage(image: Uint8Array, content: FakeImage): this {
    this.images.set(hash(image), content);
    return this;
  }

  detect(image: Uint8Array, options: FaceCallOptions = {}): Promise<ImageFaces<FaceDetection>> {
    return this.answer(image, options, ({ box, landmarks, detectionScore, alignmentScore }) => ({
      box,
      landmarks,
      detectionScore,
      alignmentScore,
    }));
  }

  async represent(
    image: Uint8Array,
    options: RepresentCallOptions = {},
  ): Promise<ImageFaces<RepresentedFace>> {
    const answer = await this.answer(
      image,
      options,
      ({ box, landmarks, detectionScore, alignmentScore, person, quality }) => ({
        box,
        landmarks,
        detectionScore,
        alignmentScore,
        embedding: personEmbedding(person),
        embeddingNorm: 1,
        // The fake finds a face in announced images only, so the crop is the image itself.
        ...(options.crop ? { crop: new Uint8Array(image) } : {}),
        ...(options.quality && landmarks != null
          ? { quality: { sharpness: 200, brightness: 0.5, ...quality } }
          : {}),
      }),
      options.embedder ?? this.defaultEmbedder,
    );
    return options.hash ? { ...answer, imageHash: hash(image) } : answer;
  }

  analyze(
    image: Uint8Array,
    { attributes = ATTRIBUTES, ...options }: AnalyzeCallOptions = {},
  ): Promise<ImageFaces<AnalyzedFace>> {
    return this.answer(image, options, ({ box, landmarks, detectionScore, alignmentScore, ...face }) => ({
      box,
      landmarks,
      detectionScore,
      alignmentScore,
      ...(attributes.includes('age') ? { age: face.age } : {}),
      ...(attributes.includes('gender') ? { gender: face.gender, genderScores: face.genderScores } : {}),
      ...(attributes.includes('expression')
        ? { expression: face.expression, expressionScores: face.expressionScores }
        : {}),
      ...(attributes.includes('race') ? { race: face.race, raceScores: face.raceScores } : {}),
    }));
  }

  embedder(name: string = this.defaultEmbedder, align = true): EmbedderInfo {
    if (name !== this.defaultEmbedder) throw unknownModel('embedder', name, this.defaultEmbedder);
    return {
      name,
      dimensions: DIMENSIONS,
      contract: align ? 'fake00000000' : 'fake0000b0c5',
      maxDistances: defaultDistances(
        { thresholds: { euclidean: { maxDistance: 1, source: 'made up' } }, calibration: CALIBRATION },
        this.decisionDefaults.targetFmr,
      ),
      calibration: CALIBRATION,
    };
  }

  models(): ModelStatus[] {
    const common = {
      state: 'loaded' as const,
      loads: 1,
      isDefault: true,
      loadMs: 0,
      memoryBytes: 0,
      sharedBytes: 0,
      runs: 0,
      runMs: null,
      idleTtlMs: null,
      sha256: '0'.repeat(64),
      license: { name: 'MIT', commercialUse: true },
      trainingData: null,
      source: 'FakeFaceModel',
      title: 'Fake',
      family: 'fake',
    };
    return [
      { ...common, name: this.defaultDetector, task: 'detect' },
      { ...common, name: this.defaultEmbedder, task: 'embed', embedder: this.embedder() },
      {
        ...common,
        name: 'fake-attributes',
        task: 'age-gender',
        attributes: [...ATTRIBUTES],
        isDefault: false,
      },
      { ...common, name: 'fake-attack', task: 'presentation-attack', isDefault: false },
    ];
  }

  status(): Promise<EngineStatus> {
    return Promise.resolve({
      workers: [],
      workerRestarts: 0,
      queue: { length: 0, bytes: 0, maxLength: 0, maxBytes: 0, running: 0 },
      cache: null,
      memory: { reckonedBytes: 0, budgetBytes: 0 },
    });
  }

  async loadModel(name: string): Promise<ModelStatus> {
    return this.statusOf(name);
  }

  async warmModel(name: string): Promise<ModelStatus> {
    return this.statusOf(name);
  }

  async unloadModel(name: string): Promise<ModelStatus> {
    const { name: model } = this.statusOf(name);
    throw new FaceError('MODEL_IN_USE', `Model ${model} is the default of its task.`, { model });
  }

  async swapModel(name: string, replacement: string): Promise<ModelStatus> {
    this.statusOf(name);
    return this.statusOf(replacement);
  }

  purgeCache(): number {
    return 0;
  }

  private statusOf(name: string): ModelStatus {
    const found = this.models().find((model) => model.name === name);
    if (found == null) {
      throw unknownModel('model', name, [this.defaultDetector, this.defaultEmbedder].join(', '));
    }
    return found;
  }

  readiness(): { ready: boolean; reason?: string } {
    return this.closed ? { ready: false, reason: 'closed' } : { ready: true };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  private async answer<F extends FaceDetection>(
    image: Uint8Array,
    options: FaceCallOptions,
    toFace: (face: AnalyzedFace & Pick<FakeFace, 'person' | 'quality'>) => F,
    /** Of `represent`: the others leave no face out. */
    embedder?: string,
  ): Promise<ImageFaces<F>> {
    const isSkipped = options.wholeImage === 'always';
    const isJudged = (options.presentationAttack ?? 'off') !== 'off';
    const answerFace = (face: Parameters<typeof toFace>[0]): F => {
      if (!isJudged) return toFace(face);
      const { presentationAttack = { score: 0.99, label: 'real' } } = face;
      const judged: PresentationAttack =
        face.landmarks == null ? { score: null, label: 'insufficient_context' } : presentationAttack;
      return { ...toFace(face), presentationAttack: judged };
    };
    if (!isSkipped && options.detector != null && options.detector !== this.defaultDetector) {
      throw unknownModel('detector', options.detector, this.defaultDetector);
    }
    this.embedder(embedder);
    const known = this.images.get(hash(image));
    if (known == null) {
      throw new Error('FakeFaceModel: this image was not announced with addImage().');
    }
    const { imageWidth = 640, imageHeight = 480 } = known;
    const turn = known.rotation ?? 0;
    const isTurned = turn !== 0 && options.autoRotate !== false && !isSkipped;
    const described = { imageWidth, imageHeight, rotation: isTurned ? turn : 0, detectionScale: 1 };
    const found = isSkipped
      ? []
      : known.faces.map((announced, index) => {
          const aligned = announced.aligned !== false && (turn === 0 || isTurned);
          return {
            ...defaultFace(index),
            ...(aligned ? {} : { alignmentScore: 0.01 }),
            ...announced,
            aligned,
          };
        });
    const timings = { ...NO_TIMINGS };
    const selected = selectFaces(found, imageWidth, imageHeight, {
      selection: options.faceSelection ?? 'all',
      maxFaces: options.maxFaces ?? Infinity,
      minFaceSize: options.minFaceSize ?? 0,
    });
    const usable = embedder == null ? selected : selected.filter(({ aligned }) => aligned);
    const unalignedCount = selected.length - usable.length;
    if (isSkipped || (options.wholeImage === 'ifNoFace' && usable.length === 0)) {
      // The first person of the image; for an image without a face, a person of its own.
      const whole = {
        ...defaultFace(0),
        ...(known.faces[0] ?? { person: hash(image) }),
        box: { x: 0, y: 0, width: imageWidth, height: imageHeight },
        landmarks: null,
        detectionScore: 0,
        alignmentScore: null,
      };
      return { ...described, faceCount: found.length, unalignedCount, faces: [answerFace(whole)], timings };
    }
    return { ...described, faceCount: found.length, unalignedCount, faces: usable.map(answerFace), timings };
  }
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function unknownModel(field: string, name: string, available: string): FaceError {
  return new FaceError('MODEL_UNKNOWN', `Expected a known ${field} but received ${JSON.stringify(name)}.`, {
    field,
    available: [available],
  });
}

/** Boxes side by side, each a little smaller than the one before, so that the first face is the largest. */
function defaultFace(index: number): AnalyzedFace {
  const side = Math.max(20, 200 - index * 10);
  const x = 20 + index * 210;
  const at = (dx: number, dy: number) => ({ x: x + dx * side, y: 100 + dy * side });
  return {
    box: { x, y: 100, width: side, height: side },
    landmarks: [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)],
    detectionScore: 0.99,
    alignmentScore: 0.99,
    age: 30,
    gender: 'female',
    genderScores: { female: 0.9, male: 0.1 },
    expression: 'neutral',
    expressionScores: {
      neutral: 1,
      happy: 0,
      sad: 0,
      angry: 0,
      fearful: 0,
      disgusted: 0,
      surprised: 0,
    },
    race: 'asian',
    raceScores: {
      asian: 0.5,
      indian: 0.1,
      black: 0.1,
      white: 0.1,
      'middle eastern': 0.1,
      'latino hispanic': 0.1,
    },
  };
}

/** Unit vector that follows from the name alone: bytes of repeated hashes, centered. */
function personEmbedding(person: string): Float32Array {
  const values: number[] = [];
  for (let block = 0; values.length < DIMENSIONS; block++) {
    for (const byte of createHash('sha256').update(`${person}:${block}`).digest()) values.push(byte - 127.5);
  }
  return assertEmbedding(values.slice(0, DIMENSIONS), DIMENSIONS).unit;
}
