import { Injectable } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import type { AuditedPerson } from '../audit/audited-person';
import type { ApiKey } from '../http/auth/api-key';
import { assertGallery } from '../http/auth/key-limits';
import { FaceError, isFaceError, nullOn } from '../../errors';
import { requireDefaultDistance } from '../../face/thresholds';
import type { EmbeddingInput } from '../../face/represent-input';
import { GalleryService } from '../../gallery/gallery.service';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { EMBEDDING_NORM_KEY, MAX_SEARCH_LIMIT, type Metadata } from '../../gallery/gallery.types';
import type { RequestLimits } from '../http/request/request-limits';
import type { Metric, RepresentedFace } from '../../pipeline/face.types';
import { findConfidence } from './confidence';
import {
  type DeepfaceIndexAnswerDto,
  type DeepfaceMatchDto,
  type DeepfaceRegisterAnswerDto,
  FacialAreaDto,
} from './deepface-answers.dto';
import type { Timed } from './deepface-body';
import type {
  DeepfaceIndexDto,
  DeepfaceRegisterDto,
  DeepfaceSearchDto,
  DeepfaceStoreDto,
} from './deepface-options.dto';
import { type DeepfaceFaces, DeepfaceService } from './deepface.service';
import { DeepfaceModels, type NamedDetector, SKIP } from './model-names';
import { substituteHeaders } from './substitutes';

/**
 * DeepFace's database, as galleries: one per embedding contract, with one subject per face. Metadata hold the columns
 * of DeepFace's table.
 */
@Injectable()
export class DeepfaceStoreService {
  constructor(
    private readonly models: DeepfaceModels,
    private readonly deepface: DeepfaceService,
    private readonly galleries: GalleryService,
    private readonly store: GalleryStore,
  ) {}

  /**
   * Adds every face of an image or of a list, except those registered before.
   *
   * @param people - receives an entry for each face when it is added.
   */
  async register(
    img: Uint8Array | Uint8Array[],
    options: DeepfaceRegisterDto,
    limits: RequestLimits,
    key: ApiKey | undefined,
    people: AuditedPerson[],
  ): Promise<Timed<DeepfaceRegisterAnswerDto>> {
    const images = await this.deepface.facesOf(img, options, limits, 'allowed');
    for (const { embedder } of images) assertGallery(key, galleryIdOf(embedder.contract));
    const files = Array.isArray(img) ? img : [img];
    let inserted = 0;
    for (const [i, image] of images.entries()) {
      const galleryId = await this.galleryOf(image, options);
      const imageHash = createHash('sha256').update(files[i]).digest('hex');
      for (const face of image.faces) {
        const metadata = columnsOf(face, image, options);
        const { subjectId, isAdded } = await this.add(
          galleryId,
          { face, metadata, imageHash },
          image,
          options,
        );
        people.push({ gallery: galleryId, subject: subjectId, outcome: isAdded ? 'added' : 'existing' });
        if (isAdded) inserted++;
      }
    }
    const [{ namedDetector: detector, namedEmbedder }] = images;
    return {
      answer: { inserted },
      timings: images.map(({ timings }) => timings),
      headers: substituteHeaders({ detector, embedder: namedEmbedder }),
    };
  }

  /**
   * Finds the registered faces close to each face of an image or of a list.
   *
   * @param people - receives an entry for each of them.
   */
  async search(
    img: Uint8Array | Uint8Array[],
    options: DeepfaceSearchDto,
    limits: RequestLimits,
    key: ApiKey | undefined,
    people: AuditedPerson[],
  ): Promise<Timed<{ results: DeepfaceMatchDto[][] }>> {
    const images = await this.deepface.facesOf(img, options, limits, 'allowed');
    const [{ embedder, namedDetector, namedEmbedder }] = images;
    const metric = this.deepface.metricOf(namedEmbedder, options.distance_metric);
    const galleryId = galleryIdOf(embedder.contract);
    assertGallery(key, galleryId);
    const filter = filterOf(namedDetector, options);
    await this.assertRegistered(galleryId, filter);
    const results = await Promise.all(
      images.flatMap((image) =>
        image.faces.map((face) => this.matchesOf(galleryId, face, image, metric, options)),
      ),
    );
    people.push(...results.flatMap((matches) => foundPeople(galleryId, matches)));
    return {
      answer: { results },
      timings: images.map(({ timings }) => timings),
      headers: substituteHeaders({
        detector: namedDetector,
        embedder: namedEmbedder,
        metric: { requested: options.distance_metric, used: metric },
      }),
    };
  }

  /** Does nothing: every search compares every face, without an index. */
  buildIndex({ model_name, detector_backend }: DeepfaceIndexDto): Timed<DeepfaceIndexAnswerDto> {
    const embedder = this.models.embedder(model_name, 'allowed');
    const detector = this.models.detector(detector_backend);
    return {
      answer: { message: 'Index built successfully' },
      timings: [],
      headers: substituteHeaders({ detector, embedder }),
    };
  }

  private async matchesOf(
    galleryId: string,
    face: RepresentedFace,
    image: DeepfaceFaces,
    metric: Metric,
    options: DeepfaceSearchDto,
  ): Promise<DeepfaceMatchDto[]> {
    const { similarity_search: takesAll, k } = options;
    const { namedEmbedder, namedDetector, embedder } = image;
    const ownThreshold = this.deepface.thresholdOf(namedEmbedder, metric);
    const threshold = takesAll ? ownThreshold : (ownThreshold ?? requireDefaultDistance(embedder, metric));
    const found = await this.galleries.findReferences(galleryId, inputOf(face, image, options), {
      metric,
      maxDistance: takesAll ? undefined : (threshold as number),
      limit: k != null && k > 0 ? Math.min(k, MAX_SEARCH_LIMIT) : MAX_SEARCH_LIMIT,
      filter: filterOf(namedDetector, options),
    });
    const { x, y, w, h } = FacialAreaDto.from(face, image, namedDetector);
    return found.map(({ subjectId, distance, metadata }) => ({
      id: subjectId,
      img_name: String(metadata.img_name),
      model_name: namedEmbedder.name,
      detector_backend: namedDetector.name,
      aligned: options.align,
      l2_normalized: options.l2_normalize,
      search_method: options.search_method,
      target_x: x as number,
      target_y: y as number,
      target_w: w as number,
      target_h: h as number,
      threshold,
      distance_metric: metric,
      distance,
      confidence: findConfidence(
        distance,
        namedEmbedder.deepfaceName,
        metric,
        threshold != null && distance <= threshold,
      ),
    }));
  }

  /**
   * @throws {FaceError} GALLERY_NOT_FOUND if nothing was registered with these options: an empty result would mean
   * "unknown".
   */
  private async assertRegistered(galleryId: string, filter: Metadata): Promise<void> {
    const page = await nullOn('GALLERY_NOT_FOUND', this.store.listSubjects(galleryId, { limit: 1, filter }));
    if (page != null && page.items.length > 0) return;
    throw new FaceError(
      'GALLERY_NOT_FOUND',
      `No face is registered for this model with ${JSON.stringify(filter)}: call /register first, with the same options.`,
    );
  }

  /** The gallery of the contract, created if it does not exist. */
  private async galleryOf({ embedder }: DeepfaceFaces, { align }: DeepfaceRegisterDto): Promise<string> {
    const id = galleryIdOf(embedder.contract);
    if ((await nullOn('GALLERY_NOT_FOUND', this.store.getGallery(id))) != null) return id;
    try {
      await this.galleries.createGallery({
        id,
        embedder: embedder.name,
        align,
        // DeepFace registers every face that it finds.
        enrollmentGate: 'off',
        metadata: { embedder: embedder.name, api: 'deepface' },
      });
    } catch (error) {
      // Another request has created it meanwhile.
      if (!isFaceError(error, 'GALLERY_EXISTS')) throw error;
    }
    return id;
  }

  /** Adds a face as its own subject; false if the same face of the same image was registered with the same options. */
  private async add(
    galleryId: string,
    { face, metadata, imageHash }: { face: RepresentedFace; metadata: Metadata; imageHash: string },
    image: DeepfaceFaces,
    options: DeepfaceRegisterDto,
  ): Promise<{ subjectId: string; isAdded: boolean }> {
    const { img_name: _, ...columns } = metadata;
    const subjectId = createHash('sha256')
      .update(JSON.stringify([imageHash, columns]))
      .digest('hex')
      .slice(0, 32);
    const known = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, subjectId));
    if (known != null && known.referenceCount > 0) return { subjectId, isAdded: false };
    await this.galleries.putSubject(galleryId, subjectId, metadata);
    const input = inputOf(face, image, options);
    const [result] = await this.galleries.enroll(
      galleryId,
      [{ subjectId, input, metadata: { [EMBEDDING_NORM_KEY]: input.embeddingNorm } }],
      // Of two concurrent requests with the same face, one adds it.
      { enrollmentGate: 'off', idempotencyKey: subjectId },
    );
    if (!(result instanceof FaceError)) return { subjectId, isAdded: result.status === 'added' };
    const subject = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, subjectId));
    if (subject != null && subject.referenceCount > 0) return { subjectId, isAdded: false };
    await nullOn('SUBJECT_NOT_FOUND', this.galleries.deleteSubject(galleryId, subjectId));
    throw result;
  }
}

/** Every face in the response; an empty result counts as one entry. */
function foundPeople(gallery: string, matches: readonly DeepfaceMatchDto[]): AuditedPerson[] {
  if (matches.length === 0) return [{ gallery, outcome: 'no_match' }];
  return matches.map(({ id, distance, threshold, distance_metric: metric }) => ({
    gallery,
    subject: id,
    outcome: threshold != null && distance != null && distance <= threshold ? 'match' : 'candidate',
    similarity: metric === 'cosine' && distance != null ? 1 - distance : undefined,
  }));
}

function galleryIdOf(contract: string): string {
  return `deepface-${contract}`;
}

/** Options that a search must share with the registration. */
function filterOf(detector: NamedDetector, options: DeepfaceStoreDto): Metadata {
  return {
    detector_backend: detector.card ?? SKIP,
    aligned: options.align,
    l2_normalized: options.l2_normalize,
  };
}

function columnsOf(face: RepresentedFace, image: DeepfaceFaces, options: DeepfaceRegisterDto): Metadata {
  const { x, y, w, h } = FacialAreaDto.from(face, image, image.namedDetector);
  return {
    img_name: options.img_name ?? randomUUID(),
    ...filterOf(image.namedDetector, options),
    x: x as number,
    y: y as number,
    w: w as number,
    h: h as number,
  };
}

/** The vector that DeepFace stores: the raw output of the network, or normalized to length 1. */
function inputOf(
  { embedding, embeddingNorm }: RepresentedFace,
  { embedder: { contract } }: DeepfaceFaces,
  { l2_normalize: isUnit }: DeepfaceStoreDto,
): EmbeddingInput & { embeddingNorm: number } {
  return { embedding, contract, embeddingNorm: isUnit ? 1 : embeddingNorm };
}
