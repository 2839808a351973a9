import { Injectable } from '@nestjs/common';
import { FaceError, type FaceErrorCode } from '../../errors';
import { AnalysisService } from '../../face/analysis.service';
import { type FaceCallOptions, FaceModel, type RepresentCallOptions } from '../../face/face-model';
import { assertFace } from '../../face/no-face';
import { type Representation, RepresentationService } from '../../face/representation.service';
import { defaultDistance } from '../../face/thresholds';
import { VerificationService } from '../../face/verification.service';
import type { RequestLimits } from '../http/request/request-limits';
import { invalidParameters } from '../http/request/validation';
import type { Metric, StageTimings } from '../../pipeline/face.types';
import { DEEPFACE_THRESHOLDS, findConfidence, round } from './confidence';
import {
  DeepfaceAnalysisDto,
  DeepfaceRepresentationDto,
  type DeepfaceVerifyAnswerDto,
  FacialAreaDto,
} from './deepface-answers.dto';
import type { DeepfaceImage, Timed } from './deepface-body';
import type {
  DeepfaceAnalyzeDto,
  DeepfaceOptionsDto,
  DeepfaceRepresentDto,
  DeepfaceVerifyDto,
} from './deepface-options.dto';
import {
  ACTIONS,
  DeepfaceModels,
  type NamedDetector,
  type NamedEmbedder,
  type Substitution,
} from './model-names';
import { MODEL_HEADER, substituteHeaders } from './substitutes';

/** Faces of one image, with the detector and embedder used. */
export interface DeepfaceFaces extends Representation {
  namedDetector: NamedDetector;
  namedEmbedder: NamedEmbedder;
}

/** Maps requests of the DeepFace API to services, and their results to its responses. */
@Injectable()
export class DeepfaceService {
  constructor(
    private readonly model: FaceModel,
    private readonly models: DeepfaceModels,
    private readonly verification: VerificationService,
    private readonly representation: RepresentationService,
    private readonly analysis: AnalysisService,
  ) {}

  async verify(
    img1: DeepfaceImage,
    img2: DeepfaceImage,
    options: DeepfaceVerifyDto,
    limits: RequestLimits,
  ): Promise<Timed<DeepfaceVerifyAnswerDto>> {
    const startedAt = performance.now();
    const { align } = options;
    // An embedding of the requested model does not compare with those of a substitute.
    const hasEmbedding = Array.isArray(img1) || Array.isArray(img2);
    const embedder = this.models.embedder(options.model_name, hasEmbedding ? 'refused' : 'allowed');
    const detector = this.models.detector(options.detector_backend);
    if (options.threshold != null) assertNotSubstituted(embedder);
    const metric =
      options.threshold == null ? this.metricOf(embedder, options.distance_metric) : options.distance_metric;
    const { contract } = this.model.embedder(embedder.card, align);
    const inputOf = (image: DeepfaceImage) => (Array.isArray(image) ? { embedding: image, contract } : image);
    const ownThreshold = this.thresholdOf(embedder, metric);
    const result = await about(
      (details) => (details.field === 'reference' ? 'img2' : 'img1'),
      this.verification.verify(inputOf(img1), inputOf(img2), {
        ...this.faceOptions(options, detector, limits),
        embedder: embedder.card,
        align,
        metric,
        threshold: options.threshold ?? ownThreshold ?? undefined,
        faceSelection: 'all',
      }),
    );
    const distance = round(result.distance, 6);
    const { probe, reference, images, threshold, reason, timings } = result;
    return {
      answer: {
        // Compares the rounded distance, so that the response is consistent.
        verified: reason == null && distance <= threshold,
        ...(reason == null ? {} : { reason }),
        distance,
        threshold,
        confidence: findConfidence(
          distance,
          embedder.deepfaceName,
          metric,
          reason == null && distance <= (ownThreshold ?? threshold),
        ),
        model: embedder.name,
        detector_backend: detector.name,
        similarity_metric: metric,
        facial_areas: {
          img1: FacialAreaDto.from(probe, images.probe, detector),
          img2: FacialAreaDto.from(reference, images.reference, detector),
        },
        time: round((performance.now() - startedAt) / 1000, 2),
      },
      timings: [timings.probe, timings.reference].filter((image): image is StageTimings => image != null),
      headers: substituteHeaders({
        detector,
        embedder,
        metric: { requested: options.distance_metric, used: metric },
      }),
    };
  }

  /** Represents the faces of an image, or of each image in a list. */
  async represent(
    img: Uint8Array | Uint8Array[],
    options: DeepfaceRepresentDto,
    limits: RequestLimits,
  ): Promise<Timed<{ results: DeepfaceRepresentationDto[] | DeepfaceRepresentationDto[][] }>> {
    // Embeddings leave the service: those of a substitute would be compared with those of the requested model.
    const images = await this.facesOf(img, options, limits, 'refused');
    const [{ namedDetector: detector, embedder }] = images;
    const results = images.map((image) =>
      image.faces.map((face) => DeepfaceRepresentationDto.from(face, image, image.namedDetector)),
    );
    return {
      answer: { results: Array.isArray(img) ? results : results[0] },
      timings: images.map(({ timings }) => timings),
      headers: { ...substituteHeaders({ detector }), [MODEL_HEADER]: embedder.name },
    };
  }

  /** Estimates attributes of the faces of an image, or of each image in a list. */
  async analyze(
    img: Uint8Array | Uint8Array[],
    options: DeepfaceAnalyzeDto,
    limits: RequestLimits,
  ): Promise<Timed<{ results: DeepfaceAnalysisDto[] | DeepfaceAnalysisDto[][] }>> {
    const detector = this.models.detector(options.detector_backend);
    const { served: actions, omitted } = this.models.actions(options.actions);
    const attributes = actions.map((action) => ACTIONS[action].attribute);
    const images = await eachOf(img, async (image) => {
      const analysis = await this.analysis.analyze(image, {
        ...this.faceOptions(options, detector, limits),
        attributes,
      });
      assertFace(analysis);
      return analysis;
    });
    const results = images.map((image) =>
      image.faces.map((face) => DeepfaceAnalysisDto.from(face, actions, image, detector)),
    );
    return {
      answer: { results: Array.isArray(img) ? results : results[0] },
      timings: images.map(({ timings }) => timings),
      headers: substituteHeaders({ detector, omitted }),
    };
  }

  /** Detects and embeds the faces of an image, or of each image in a list. */
  facesOf(
    img: Uint8Array | Uint8Array[],
    options: DeepfaceOptionsDto & Pick<DeepfaceRepresentDto, 'model_name' | 'max_faces'>,
    limits: RequestLimits,
    substitution: Substitution,
  ): Promise<DeepfaceFaces[]> {
    const namedEmbedder = this.models.embedder(options.model_name, substitution);
    const namedDetector = this.models.detector(options.detector_backend);
    const call: RepresentCallOptions = {
      ...this.faceOptions(options, namedDetector, limits),
      embedder: namedEmbedder.card,
      align: options.align,
      maxFaces: options.max_faces,
    };
    return eachOf(img, async (image) => ({
      ...(await this.representation.represent(image, call)),
      namedDetector,
      namedEmbedder,
    }));
  }

  /** DeepFace's threshold of a model, otherwise that of its card; `null` if neither has one. */
  thresholdOf({ card, deepfaceName }: NamedEmbedder, metric: Metric): number | null {
    if (deepfaceName != null) return DEEPFACE_THRESHOLDS[deepfaceName][metric];
    return defaultDistance(this.model.embedder(card), metric);
  }

  /**
   * The metric of a comparison. `euclidean` compares raw vectors, for which calibrated cards have no threshold: substituted by
   * `euclidean_l2`, the same on unit vectors.
   */
  metricOf(embedder: NamedEmbedder, metric: Metric): Metric {
    const lacksThreshold = metric === 'euclidean' && this.thresholdOf(embedder, metric) == null;
    if (!lacksThreshold || !this.models.hasSubstitutes) return metric;
    return this.thresholdOf(embedder, 'euclidean_l2') == null ? metric : 'euclidean_l2';
  }

  private faceOptions(
    { enforce_detection: enforce, anti_spoofing: antiSpoofing }: DeepfaceOptionsDto,
    { card }: NamedDetector,
    limits: RequestLimits,
  ): FaceCallOptions {
    return {
      ...limits,
      detector: card ?? undefined,
      wholeImage: card == null ? 'always' : enforce ? 'never' : 'ifNoFace',
      presentationAttack: this.models.presentationAttack(antiSpoofing),
    };
  }
}

/**
 * A threshold is a distance of one model: it says nothing about another.
 *
 * @throws {FaceError} PARAMETER_INVALID for a threshold of a model that is not loaded.
 */
function assertNotSubstituted({ substitutes, name }: NamedEmbedder): void {
  if (substitutes == null) return;
  throw invalidParameters(
    {
      threshold: `is a distance of ${substitutes}, which is not loaded: leave it out for the threshold of ${name}, or set model_name to ${name}`,
    },
    { field: 'threshold' },
  );
}

/** Processes an image, or all images of a list in parallel. One failure fails them all. */
function eachOf<T>(img: Uint8Array | Uint8Array[], work: (image: Uint8Array) => Promise<T>): Promise<T[]> {
  const images = Array.isArray(img) ? img : [img];
  return Promise.all(
    images.map((image, index) => about(() => (Array.isArray(img) ? `img[${index}]` : 'img'), work(image))),
  );
}

/** Adds the name of the image to its errors. */
async function about<T>(nameOf: (details: FaceError['details']) => string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof FaceError) || !/^(IMAGE|FACE|EMBEDDING|PRESENTATION)_/.test(error.code))
      throw error;
    const { code, message, details, cause } = error;
    throw new FaceError(code, `${nameOf(details)}: ${textOf(code, message)}`, details, { cause });
  }
}

/**
 * Clients of DeepFace detect a spoof by this text. @see serengil/deepface@010bb2b:deepface/modules/representation.py
 */
function textOf(code: FaceErrorCode, message: string): string {
  if (code === 'PRESENTATION_ATTACK_SUSPECTED') return `Spoof detected in the given image. ${message}`;
  if (code !== 'FACE_NOT_DETECTED') return message;
  return `${message} Send enforce_detection: false to use the whole image.`;
}
