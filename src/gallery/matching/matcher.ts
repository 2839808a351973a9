import { FaceError, nullOn } from '../../errors';
import { detectorOf, type FaceModel } from '../../face/face-model';
import { identificationThreshold, verificationThreshold } from '../../face/thresholds';
import { type EmbeddingInput, representInput, type VerificationInput } from '../../face/represent-input';
import { decisionResult, rateOf } from '../../face/verification.service';
import { compareEmbeddings, leastSimilarityWithin } from '../../pipeline/embed/compare-embeddings';
import { distanceOf, embedderOf, minSimilarityOf, representOptions, roundDistance } from '../gallery-calls';
import type { SearchEvent } from '../gallery.options';
import {
  EMBEDDING_NORM_KEY,
  type Gallery,
  type Hit,
  MAX_SEARCH_LIMIT,
  type StoredReference,
  type Subject,
} from '../gallery.types';
import type { LastMatches } from '../last-matches';
import type { Retention } from '../retention';
import type { GalleryStore } from '../stores/gallery-store';
import {
  type Candidate,
  DEFAULT_CANDIDATES,
  type FindReferencesOptions,
  type FoundReference,
  type Identification,
  type IdentifyOptions,
  type SubjectVerification,
  type VerifySubjectOptions,
} from './matching.types';

/** Compares probes with the references of a gallery. Options were validated by `GalleryService`. */
export class Matcher {
  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly retention: Retention,
    private readonly lastMatches: LastMatches,
    private readonly onSearch?: (event: SearchEvent) => void,
  ) {}

  /**
   * Identifies the faces of a probe (1:N).
   *
   * @throws {FaceError} as `GalleryService.identify`.
   */
  async identify(
    gallery: Gallery,
    probe: VerificationInput,
    options: IdentifyOptions,
  ): Promise<Identification> {
    const { limit = DEFAULT_CANDIDATES, filter } = options;
    const { id: galleryId } = gallery;
    const embedder = embedderOf(this.model, gallery);
    const { threshold, targetFpir } = identificationThreshold(
      embedder,
      gallery.subjectCount,
      [options, gallery],
      this.model.decisionDefaults,
    );
    const { faces, isFaceless, image, timings } = await representInput(
      this.model,
      probe,
      embedder,
      representOptions(options, embedder),
    );
    const startedAt = performance.now();
    const hits = await this.retention.search(
      gallery,
      faces.map(({ embedding }) => embedding),
      { limit, filter, minSimilarity: minSimilarityOf(threshold) },
    );
    const searchMs = performance.now() - startedAt;
    this.onSearch?.({ searchMs });
    const named = isFaceless ? await this.withoutFaceless(galleryId, hits.flat()) : hits.flat();
    const subjects = await this.subjectsOf(galleryId, named);
    const identified = faces.map((face, i) => {
      const rate = (similarity: number) => rateOf(similarity, embedder, [face], embedder.align);
      const candidates = candidatesOf(hits[i], threshold, subjects, rate);
      return { face: face.detection, unknown: candidates.length === 0, candidates };
    });
    this.lastMatches.record(
      gallery,
      identified.flatMap(({ candidates }) => candidates.map(({ subjectId }) => subjectId)),
    );
    return {
      faces: identified,
      threshold,
      targetFpir,
      galleryId,
      galleryReferenceCount: gallery.referenceCount,
      rotation: image?.rotation ?? null,
      detector: timings == null ? null : detectorOf(this.model, options),
      embedder: embedder.name,
      contract: embedder.contract,
      timings: { ...timings, searchMs },
    };
  }

  /**
   * Compares a probe with all references of one subject (1:1).
   *
   * @throws {FaceError} as `GalleryService.verifySubject`.
   */
  async verifySubject(
    gallery: Gallery,
    subjectId: string,
    probe: VerificationInput,
    options: VerifySubjectOptions,
  ): Promise<SubjectVerification> {
    const { reviewMargin: askedMargin } = options;
    const { id: galleryId } = gallery;
    const references = await this.retention.listReferences(gallery, subjectId);
    if (references.length === 0) {
      throw new FaceError('REFERENCE_NOT_FOUND', 'The subject has no references.', { galleryId, subjectId });
    }
    const embedder = embedderOf(this.model, gallery);
    const defaults = this.model.decisionDefaults;
    const { threshold, targetFmr } = verificationThreshold(embedder, 'cosine', [options, gallery], defaults);
    const { faces, isFaceless, image, timings } = await representInput(
      this.model,
      probe,
      embedder,
      representOptions(options, embedder),
    );
    const pairs = faces.flatMap((face) =>
      references.map((reference) => ({
        face,
        reference,
        ...compareEmbeddings(face, { embedding: reference.embedding, norm: 1 }, 'cosine'),
      })),
    );
    const closest = pairs.reduce((best, pair) => (pair.distance < best.distance ? pair : best));
    const { face, reference, distance, similarity } = closest;
    const isRefused = isFaceless && hasNoFace(reference);
    const areAligned = embedder.align && !hasNoFace(reference);
    const decision = decisionResult(closest, threshold, askedMargin ?? defaults.reviewMargin, isRefused);
    if (decision.verified) this.lastMatches.record(gallery, [subjectId]);
    return {
      ...decision,
      distance,
      similarity,
      falseMatchRate: rateOf(similarity, embedder, [face], areAligned),
      threshold,
      targetFmr,
      subjectId,
      referenceId: reference.id,
      face: face.detection,
      rotation: image?.rotation ?? null,
      detector: timings == null ? null : detectorOf(this.model, options),
      embedder: embedder.name,
      contract: embedder.contract,
      timings,
    };
  }

  /**
   * Finds the references closest to an embedding, in any metric.
   *
   * @throws {FaceError} as `GalleryService.findReferences`.
   */
  async findReferences(
    gallery: Gallery,
    probe: EmbeddingInput,
    options: FindReferencesOptions,
  ): Promise<FoundReference[]> {
    const { metric = 'cosine', maxDistance = Infinity, limit = MAX_SEARCH_LIMIT, filter } = options;
    const { id: galleryId } = gallery;
    const embedder = embedderOf(this.model, gallery);
    const { faces } = await representInput(this.model, probe, embedder, {});
    const [face] = faces;
    const startedAt = performance.now();
    // Only euclidean orders references differently from the cosine.
    const subjectLimit = metric === 'euclidean' ? MAX_SEARCH_LIMIT : limit;
    const [hits] = await this.retention.search(gallery, [face.embedding], {
      limit: subjectLimit,
      filter,
      minSimilarity: minSimilarityOf(1 - leastSimilarityWithin(maxDistance, face.norm, metric)),
    });
    this.onSearch?.({ searchMs: performance.now() - startedAt });
    const subjects = await this.subjectsOf(galleryId, hits);
    const references = await Promise.all(
      hits.map(({ subjectId }) =>
        nullOn('SUBJECT_NOT_FOUND', this.retention.listReferences(gallery, subjectId)),
      ),
    );
    const found = references
      .flatMap((list) => list ?? [])
      .flatMap(({ subjectId, id, embedding, metadata }) => {
        const subject = subjects.get(subjectId);
        if (subject == null) return [];
        const norm = Number(metadata[EMBEDDING_NORM_KEY] ?? 1);
        const distance = roundDistance(compareEmbeddings(face, { embedding, norm }, metric).distance);
        return [{ subjectId, referenceId: id, distance, metadata: subject.metadata }];
      })
      .filter(({ distance }) => distance <= maxDistance)
      .sort((a, b) => a.distance - b.distance)
      .slice(0, limit);
    const last = hits.at(-1);
    if (metric === 'euclidean' && last != null && hits.length >= subjectLimit) {
      const farthest = found.length < limit ? maxDistance : found[limit - 1].distance;
      // Subjects beyond the limit are less similar than the last hit: could they still be close enough?
      if (last.similarity >= minSimilarityOf(1 - leastSimilarityWithin(farthest, face.norm, metric))) {
        throw new FaceError(
          'PARAMETER_INVALID',
          'Invalid: metric euclidean cannot rank this many faces exactly: use another metric, or fewer candidates.',
          { fields: { metric: 'euclidean cannot rank this many faces exactly' } },
        );
      }
    }
    if (maxDistance < Infinity) {
      this.lastMatches.record(
        gallery,
        found.map(({ subjectId }) => subjectId),
      );
    }
    return found;
  }

  /** Drops references without a located face: two images without faces must not identify anyone. */
  private async withoutFaceless(galleryId: string, hits: readonly Hit[]): Promise<Hit[]> {
    const references = await Promise.all(
      hits.map(({ subjectId, referenceId }) =>
        nullOn(
          'SUBJECT_NOT_FOUND',
          nullOn('REFERENCE_NOT_FOUND', this.store.getReference(galleryId, subjectId, referenceId)),
        ),
      ),
    );
    return hits.filter((_, i) => {
      const reference = references[i];
      return reference != null && !hasNoFace(reference);
    });
  }

  private async subjectsOf(galleryId: string, hits: readonly Hit[]): Promise<ReadonlyMap<string, Subject>> {
    const ids = [...new Set(hits.map(({ subjectId }) => subjectId))];
    const subjects = await Promise.all(
      ids.map((id) => nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, id))),
    );
    return new Map(subjects.filter((subject) => subject != null).map((subject) => [subject.id, subject]));
  }
}

/** Whether the reference is a whole image in which no face was located. */
function hasNoFace({ quality }: StoredReference): boolean {
  return quality?.detectionScore === 0;
}

function candidatesOf(
  hits: readonly Hit[],
  threshold: number,
  subjects: ReadonlyMap<string, Subject>,
  rate: (similarity: number) => number | null,
): Candidate[] {
  const candidates = hits.flatMap((hit) => {
    const subject = subjects.get(hit.subjectId);
    const distance = distanceOf(hit);
    if (subject == null || distance > threshold) return [];
    const { subjectId, referenceId } = hit;
    const similarity = 1 - distance;
    const { metadata } = subject;
    return [{ subjectId, referenceId, distance, similarity, falseMatchRate: rate(similarity), metadata }];
  });
  return candidates.map((candidate, i) => ({ rank: i + 1, ...candidate }));
}
