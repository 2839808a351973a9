import { Injectable } from '@nestjs/common';
import { FaceError, isFaceError, nullOn } from '../errors';
import { defined } from '../face/defined';
import { FaceModel } from '../face/face-model';
import { REVIEW_MARGIN_RANGE } from '../face/thresholds';
import type { EmbeddingInput, VerificationInput } from '../face/represent-input';
import {
  Enroller,
  type EnrollmentItem,
  type EnrollmentResult,
  type EnrollOptions,
} from './enrollment/enroller';
import { embedderOf, subjectKey } from './gallery-calls';
import { CROPS_PROBLEM } from './gallery-errors';
import { assertNoCopy, followedSettings, GalleryMigrations } from './migration/gallery-migrations';
import {
  assertTargets,
  assertValid,
  galleryIdProblem,
  integerProblem,
  isSameSubject,
  metadataProblem,
  rangeProblem,
  rightsProblems,
  settingsProblems,
  subjectIdProblem,
} from './gallery-rules';
import { GalleryStore } from './stores/gallery-store';
import { DEFAULT_GALLERY_ID, DEFAULT_GALLERY_SETTINGS, type GalleryModuleOptions } from './gallery.options';
import {
  type DeletionCounts,
  type Gallery,
  type GallerySettings,
  MAX_SEARCH_LIMIT,
  type Metadata,
  type Page,
  type PageRequest,
  type Reference,
  type Subject,
  type SubjectRights,
} from './gallery.types';
import { KeyedLock } from './keyed-lock';
import { LastMatches } from './last-matches';
import { Matcher } from './matching/matcher';
import {
  DEFAULT_CANDIDATES,
  type FindReferencesOptions,
  type FoundReference,
  type Identification,
  type IdentifyOptions,
  MAX_CANDIDATES,
  type SubjectVerification,
  type VerifySubjectOptions,
} from './matching/matching.types';
import { pageOfReferences } from './pages';
import { type PurgeReport, Retention } from './retention';
import { SharedLock } from './shared-lock';

/** A new gallery; absent settings take the defaults of the module. */
export interface CreateGalleryOptions extends Partial<GallerySettings> {
  id: string;
  /** Name of a loaded embedder: the gallery is bound to its contract. @defaultValue the default embedder */
  embedder?: string;
  /** False: bound to the contract of unaligned faces, see {@link FaceModel.embedder}. @defaultValue true */
  align?: boolean;
}

/**
 * Enrolls faces of known subjects, identifies (1:N), verifies against a subject, and makes every change. Plain reads go
 * directly to {@link GalleryStore}.
 *
 * @publicApi
 */
@Injectable()
export class GalleryService {
  private readonly enroller: Enroller;
  private readonly matcher: Matcher;
  private readonly retention: Retention;
  private readonly lastMatches: LastMatches;
  /** By subject: concurrent changes run one after the other. In this process only. */
  private readonly changes = new KeyedLock();
  /** By gallery: no change runs while a migration replaces the gallery. In this process only. */
  private readonly galleries = new SharedLock();
  /** Moves galleries to other embedders. */
  readonly migrations: GalleryMigrations;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly options: Pick<
      GalleryModuleOptions,
      'defaultGallery' | 'identification' | 'onNotice' | 'onSearch' | 'onPurge'
    > = {},
  ) {
    this.retention = new Retention(store, Date.now, options.onPurge);
    this.lastMatches = new LastMatches(store, () => {
      const message =
        'match times cannot be written: subjects may be purged before sinceLastMatchSeconds has passed';
      options.onNotice?.({ level: 'warn', message });
    });
    this.enroller = new Enroller(model, store, this.retention, options.identification ?? true);
    this.matcher = new Matcher(model, store, this.retention, this.lastMatches, options.onSearch);
    const locks = { subjects: this.changes, galleries: this.galleries };
    this.migrations = new GalleryMigrations(model, store, locks);
  }

  /**
   * Creates a gallery.
   *
   * @throws {FaceError} PARAMETER_INVALID for the id or a setting; GALLERY_EXISTS; GALLERY_FULL; MODEL_UNKNOWN,
   * MODEL_NOT_LOADED for the embedder.
   *
   * @example
   * const gallery = await galleries.createGallery({ id: 'staff', targetFpir: 0.001, enrollmentGate: 'strict' });
   * // gallery.referenceCount: 0
   */
  async createGallery({ id, embedder, align, ...given }: CreateGalleryOptions): Promise<Gallery> {
    const info = this.model.embedder(embedder, align);
    const { contract, dimensions } = info;
    const settings = {
      ...DEFAULT_GALLERY_SETTINGS,
      ...defined(this.options.defaultGallery),
      ...defined(given),
    };
    settings.matchesSince = settings.sinceLastMatchSeconds == null ? null : Date.now();
    assertValid({ id: galleryIdProblem(id), ...this.problemsOf(settings) });
    assertTargets(settings, info);
    return this.store.createGallery({ ...settings, id, contract, dimensions });
  }

  /**
   * Changes the given settings only. When `keepCrops` is turned off, all crops are erased before the promise settles; the next
   * purge erases what a failure leaves.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; PARAMETER_INVALID for a setting; MODEL_NOT_LOADED for a rate where no embedder of
   * the gallery's contract is loaded.
   *
   * @example
   * await galleries.updateGallery('staff', { maxAgeSeconds: 31_536_000 });
   */
  async updateGallery(galleryId: string, settings: Partial<GallerySettings>): Promise<Gallery> {
    const changes = defined(settings);
    assertValid(this.problemsOf(changes));
    if (changes.targetFmr != null || changes.targetFpir != null) {
      assertTargets(changes, embedderOf(this.model, await this.store.getGallery(galleryId)));
    }
    delete changes.matchesSince;
    if (changes.sinceLastMatchSeconds !== undefined) {
      // Matches were not recorded until now: their absence must not expire a subject.
      const { matchesSince } = await this.store.getGallery(galleryId);
      changes.matchesSince = changes.sinceLastMatchSeconds == null ? null : (matchesSince ?? Date.now());
    }
    return this.galleries.share(galleryId, async () => {
      const copied = followedSettings(changes);
      for (const { id } of await this.migrations.copiesOf(galleryId)) {
        await this.store.updateGallery(id, copied);
        if (copied.keepCrops === false) await this.retention.eraseCrops(id);
      }
      const gallery = await this.store.updateGallery(galleryId, changes);
      if (changes.keepCrops === false) await this.retention.eraseCrops(galleryId);
      return gallery;
    });
  }

  /**
   * Replaces a gallery with the copy that a migration has filled, see {@link GalleryMigrations.switchOver}. Empties the result
   * cache, as every deletion does.
   *
   * @example
   * await galleries.migrations.start('staff', 'face-resnet-128');
   * // Once migrations.status() says 'done':
   * const gallery = await galleries.switchMigration('staff', 'face-resnet-128', { dropMissing: false });
   */
  async switchMigration(
    galleryId: string,
    embedder: string,
    options: { dropMissing: boolean },
  ): Promise<Gallery> {
    const gallery = await this.migrations.switchOver(galleryId, embedder, options);
    this.model.purgeCache();
    return gallery;
  }

  /**
   * Creates the gallery {@link DEFAULT_GALLERY_ID} if it does not exist. If there is no room for it, or its embedder is not
   * loaded, a notice says so: the other galleries are still served.
   *
   * @example
   * await galleries.createDefaultGallery();
   */
  async createDefaultGallery(): Promise<void> {
    const existing = await nullOn('GALLERY_NOT_FOUND', this.store.getGallery(DEFAULT_GALLERY_ID));
    try {
      if (existing) embedderOf(this.model, existing);
      else await this.createGallery({ id: DEFAULT_GALLERY_ID });
    } catch (error) {
      // Another replica created it first.
      if (isFaceError(error, 'GALLERY_EXISTS')) return this.createDefaultGallery();
      if (!isFaceError(error, existing ? 'MODEL_NOT_LOADED' : 'GALLERY_FULL')) throw error;
      this.options.onNotice?.({ level: 'warn', message: `gallery ${DEFAULT_GALLERY_ID}: ${error.message}` });
    }
  }

  /**
   * Adds a reference for each item and creates missing subjects. Images are processed in parallel, and added in the order of
   * the items.
   *
   * The gate checks images against {@link GATE_LIMITS}. `strict` also compares each face with the gallery, one item after the
   * other, so that a concurrent call in this process sees the references that the other has added.
   *
   * @returns a result per item, or a FaceError: REFERENCE_REJECTED with `details.reasons` (all that apply) and
   * `details.quality`; IDEMPOTENCY_CONFLICT; PARAMETER_INVALID for the item's subject or metadata; FACE_NOT_DETECTED and all
   * that {@link FaceModel.represent} throws for the image; EMBEDDING_INVALID, EMBEDDING_CONTRACT_MISMATCH; GALLERY_FULL,
   * SUBJECT_FULL.
   * @throws {FaceError} for the whole call: GALLERY_NOT_FOUND; MODEL_NOT_LOADED if no embedder of the gallery's contract is
   * loaded; MODEL_UNKNOWN, MODEL_NOT_LOADED for the detector; REQUEST_ABORTED; GALLERY_STORE_FAILED. Items added before the
   * error stay: repeat the call with the same idempotency key.
   *
   * @example
   * const [result] = await galleries.enroll('staff', [{ subjectId: 'alice', input: photo }]);
   * if (result instanceof FaceError) console.log(result.code, result.details);
   * else console.log(result.status, result.reference.id);
   * // added 0d4f2c1e-...
   */
  async enroll(
    galleryId: string,
    items: readonly EnrollmentItem[],
    options: EnrollOptions = {},
  ): Promise<(EnrollmentResult | FaceError)[]> {
    const { gallery, results } = await this.galleries.share(galleryId, async () => {
      const gallery = await this.ownGallery(galleryId);
      return { gallery, results: await this.enroller.enroll(gallery, items, options) };
    });
    const added = results.flatMap((result) =>
      'status' in result && 'reference' in result && result.status === 'added'
        ? [result.reference.subjectId]
        : [],
    );
    this.lastMatches.record(gallery, added);
    return results;
  }

  /**
   * Settles when the times of all matches so far are written; no other call waits for them.
   *
   * @example
   * await galleries.identify('staff', photo);
   * await galleries.matchesRecorded();
   */
  matchesRecorded(): Promise<void> {
    return this.lastMatches.settled();
  }

  /**
   * Identifies the faces of a probe (1:N) by searching all references of the gallery.
   *
   * @returns the subjects within the threshold for each selected face, without subjects deleted meanwhile.
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_NOT_LOADED where no embedder of the gallery's contract is loaded;
   * PARAMETER_INVALID for `limit` and `threshold`; FACE_NOT_DETECTED and all that {@link FaceModel.represent} throws;
   * EMBEDDING_INVALID, EMBEDDING_CONTRACT_MISMATCH for embeddings.
   *
   * @example
   * const { faces } = await galleries.identify('staff', photo, { limit: 3 });
   * // faces[0].candidates[0]: { rank: 1, subjectId: 'alice', distance: 0.31, similarity: 0.69, ... }
   */
  async identify(
    galleryId: string,
    probe: VerificationInput,
    options: IdentifyOptions = {},
  ): Promise<Identification> {
    const { limit = DEFAULT_CANDIDATES, threshold: askedThreshold, targetFpir: askedTarget } = options;
    assertValid({
      limit: integerProblem(limit, [1, MAX_CANDIDATES]),
      ...settingsProblems({ threshold: askedThreshold, targetFpir: askedTarget }),
    });
    return this.inGallery(galleryId, (gallery) => this.matcher.identify(gallery, probe, options));
  }

  /**
   * Compares a probe with all references of one subject and decides by the most similar (1:1).
   *
   * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND; REFERENCE_NOT_FOUND where the subject has no references; the
   * others as {@link GalleryService.identify}.
   *
   * @example
   * const { verified, distance, threshold } = await galleries.verifySubject('staff', 'alice', photo);
   * // verified: true, distance: 0.31, threshold: 0.554
   */
  async verifySubject(
    galleryId: string,
    subjectId: string,
    probe: VerificationInput,
    options: VerifySubjectOptions = {},
  ): Promise<SubjectVerification> {
    const { threshold: askedThreshold, targetFmr: askedTarget, reviewMargin: askedMargin } = options;
    assertValid({
      ...settingsProblems({ threshold: askedThreshold, targetFmr: askedTarget }),
      reviewMargin: askedMargin === undefined ? null : rangeProblem(askedMargin, REVIEW_MARGIN_RANGE),
    });
    return this.inGallery(galleryId, (gallery) =>
      this.matcher.verifySubject(gallery, subjectId, probe, options),
    );
  }

  /**
   * Finds the references closest to an embedding, closest first, in any metric; every reference of a subject counts. Exact.
   * `euclidean` uses raw vectors: `embeddingNorm` of the probe, and `EMBEDDING_NORM_KEY` in the metadata of references.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_NOT_LOADED; EMBEDDING_INVALID, EMBEDDING_CONTRACT_MISMATCH;
   * PARAMETER_INVALID for `limit`, and for `metric` where the closest by `euclidean` could be outside the
   * {@link MAX_SEARCH_LIMIT} subjects that are closest by cosine.
   *
   * @example
   * const [closest] = await galleries.findReferences('staff', { embedding, contract }, { metric: 'euclidean', limit: 10 });
   * // closest: { subjectId: 'alice', referenceId: '0d4f2c1e-...', distance: 3.2, metadata: {} }
   */
  async findReferences(
    galleryId: string,
    probe: EmbeddingInput,
    options: FindReferencesOptions = {},
  ): Promise<FoundReference[]> {
    const { limit = MAX_SEARCH_LIMIT } = options;
    assertValid({ limit: integerProblem(limit, [1, MAX_SEARCH_LIMIT]) });
    return this.inGallery(galleryId, (gallery) => this.matcher.findReferences(gallery, probe, options));
  }

  /**
   * Creates a subject, or replaces the metadata and the given rights of an existing one.
   *
   * @throws {FaceError} PARAMETER_INVALID for the id, the metadata or a right; GALLERY_NOT_FOUND, GALLERY_FULL.
   *
   * @example
   * const { isNew } = await galleries.putSubject('staff', 'alice', { team: 'red' }, { consentRef: 'form 12' });
   */
  async putSubject(
    galleryId: string,
    subjectId: string,
    metadata: Metadata,
    rights: Partial<SubjectRights> = {},
  ): Promise<{ subject: Subject; isNew: boolean }> {
    const given = defined(rights);
    assertValid({
      subjectId: subjectIdProblem(subjectId),
      metadata: metadataProblem(metadata),
      ...rightsProblems(given),
    });
    return this.change(galleryId, subjectId, () =>
      this.store.putSubject(galleryId, subjectId, metadata, given),
    );
  }

  /**
   * Changes the given fields of an existing subject.
   *
   * @throws {FaceError} PARAMETER_INVALID for the metadata or a right; GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND.
   *
   * @example
   * await galleries.updateSubject('staff', 'alice', { expiresAt: Date.parse('2030-01-01') });
   */
  async updateSubject(
    galleryId: string,
    subjectId: string,
    { metadata, ...rights }: Partial<SubjectRights> & { metadata?: Metadata },
  ): Promise<Subject> {
    const given = defined(rights);
    assertValid({ metadata: metadata == null ? null : metadataProblem(metadata), ...rightsProblems(given) });
    const { subject } = await this.change(galleryId, subjectId, async () => {
      const old = await this.store.getSubject(galleryId, subjectId);
      return this.store.putSubject(galleryId, subjectId, metadata ?? old.metadata, given);
    });
    return subject;
  }

  /**
   * Renames a subject or, with `merge`, moves its references to the subject that already has the new id.
   *
   * @throws {FaceError} PARAMETER_INVALID for the new id; GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND; SUBJECT_EXISTS without `merge`,
   * SUBJECT_FULL with it.
   *
   * @example
   * await galleries.renameSubject('staff', 'alice', 'alice.smith', { merge: false });
   */
  async renameSubject(
    galleryId: string,
    subjectId: string,
    newSubjectId: string,
    options: { merge: boolean },
  ): Promise<Subject> {
    assertValid({ newSubjectId: subjectIdProblem(newSubjectId) });
    return this.change(galleryId, subjectId, async () => {
      const subject = await this.store.renameSubject(galleryId, subjectId, newSubjectId, options);
      // The migration copies it again under the new id.
      if (!isSameSubject(subjectId, newSubjectId))
        await this.migrations.removeFromCopies(galleryId, subjectId);
      return subject;
    });
  }

  /**
   * Deletes a subject with all its references, and empties the result cache. All is erased when the promise settles.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND.
   *
   * @example
   * const { referenceCount } = await galleries.deleteSubject('staff', 'alice');
   */
  async deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts> {
    const counts = await this.change(galleryId, subjectId, async () => {
      await this.migrations.removeFromCopies(galleryId, subjectId);
      return this.store.deleteSubject(galleryId, subjectId);
    });
    // Cached probes show the person too, and nothing tells whose they are: the whole cache is emptied.
    this.model.purgeCache();
    return counts;
  }

  /**
   * Lists the references of a subject in pages, oldest first, without embeddings.
   *
   * @throws {FaceError} PARAMETER_INVALID for a malformed cursor; GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND.
   *
   * @example
   * const { items, next } = await galleries.listReferences('staff', 'alice', { limit: 50 });
   * // The next page: { limit: 50, after: next }
   */
  async listReferences(galleryId: string, subjectId: string, page: PageRequest): Promise<Page<Reference>> {
    return pageOfReferences(await this.store.listReferences(galleryId, subjectId), page);
  }

  /**
   * Changes the given fields of a reference. Metadata is replaced as a whole.
   *
   * @throws {FaceError} PARAMETER_INVALID for a field; GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND, REFERENCE_NOT_FOUND.
   *
   * @example
   * await galleries.updateReference('staff', 'alice', referenceId, { metadata: { camera: 'door' } });
   */
  async updateReference(
    galleryId: string,
    subjectId: string,
    referenceId: string,
    { metadata, ...rights }: Partial<Pick<Reference, 'metadata' | 'expiresAt'>>,
  ): Promise<Reference> {
    const given = defined(rights);
    assertValid({ metadata: metadata == null ? null : metadataProblem(metadata), ...rightsProblems(given) });
    return this.change(galleryId, subjectId, async () => {
      const old = await this.store.getReference(galleryId, subjectId, referenceId);
      return this.store.updateReference(galleryId, subjectId, referenceId, metadata ?? old.metadata, given);
    });
  }

  /**
   * Deletes a reference, and the cached results of its image. The subject stays.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND, REFERENCE_NOT_FOUND.
   *
   * @example
   * await galleries.deleteReference('staff', 'alice', referenceId);
   */
  async deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void> {
    const { imageHash } = await this.change(galleryId, subjectId, async () => {
      const reference = await this.store.getReference(galleryId, subjectId, referenceId);
      await this.migrations.removeFromCopies(galleryId, subjectId, referenceId);
      await this.store.deleteReference(galleryId, subjectId, referenceId);
      return reference;
    });
    if (imageHash != null) this.model.purgeCache(imageHash);
  }

  /**
   * Deletes a gallery with all its subjects and references and its migration copies, and empties the result cache. All is
   * erased when the promise settles.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND.
   *
   * @example
   * const { subjectCount, referenceCount } = await galleries.deleteGallery('staff');
   */
  async deleteGallery(galleryId: string): Promise<DeletionCounts> {
    const counts = await this.galleries.share(galleryId, async () => {
      for (const { id } of await this.migrations.copiesOf(galleryId))
        await nullOn('GALLERY_NOT_FOUND', this.store.deleteGallery(id));
      return this.store.deleteGallery(galleryId);
    });
    this.model.purgeCache();
    return counts;
  }

  /**
   * Erases all expired subjects and references and, if there were any, empties the result cache. A search never finds expired
   * ones, purged or not.
   *
   * @throws {FaceError} GALLERY_STORE_FAILED; removals made before the failure stay.
   *
   * @example
   * const { subjectCount, referenceCount } = await galleries.purgeExpired();
   */
  async purgeExpired(): Promise<PurgeReport> {
    const report = await this.retention.purge();
    if (report.subjectCount + report.referenceCount > 0) this.model.purgeCache();
    return report;
  }

  private problemsOf(settings: Partial<GallerySettings>): Record<string, string | null> {
    const problems = settingsProblems(settings);
    if (settings.keepCrops === true && !this.store.keepsCrops) problems.keepCrops = CROPS_PROBLEM;
    return problems;
  }

  /** @throws {FaceError} GALLERY_NOT_FOUND; GALLERY_MIGRATING for a migration copy, which cannot be changed directly. */
  private async ownGallery(galleryId: string): Promise<Gallery> {
    const gallery = await this.store.getGallery(galleryId);
    assertNoCopy(gallery);
    return gallery;
  }

  /** Runs the changes of a subject one after the other. */
  private change<T>(galleryId: string, subjectId: string, work: () => Promise<T>): Promise<T> {
    return this.galleries.share(galleryId, async () => {
      await this.ownGallery(galleryId);
      return this.changes.run(subjectKey(galleryId, subjectId), work);
    });
  }

  /**
   * Runs `work`, and runs it again if a gallery of a different contract replaced this one meanwhile: embeddings of different
   * contracts cannot be compared.
   */
  private async inGallery<T>(galleryId: string, work: (gallery: Gallery) => Promise<T>): Promise<T> {
    for (;;) {
      const gallery = await this.store.getGallery(galleryId);
      const outcome = await work(gallery).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      const now = await nullOn('GALLERY_NOT_FOUND', this.store.getGallery(galleryId));
      if (now != null && now.contract !== gallery.contract) continue;
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    }
  }
}
