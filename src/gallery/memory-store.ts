import type { FaceError } from '../errors';
import { galleryErrors } from './gallery-errors';
import { GalleryStore } from './gallery-store';
import type {
  AddedReference,
  DeletionCounts,
  Gallery,
  GalleryRecord,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  NewGallery,
  NewReference,
  Page,
  PageRequest,
  Reference,
  ReferenceRights,
  SearchOptions,
  StoredReference,
  Subject,
  SubjectRights,
} from './gallery.types';
import { VectorIndex, type VectorPrecision } from './index/vector-index';
import { VectorScanner } from './index/vector-scanner';
import { type GalleryEntry, toGallery } from './state/entries';
import { GalleryState } from './state/gallery-state';
import { LayeredMap } from './state/layered-map';
import { NumberPool } from './state/number-pool';
import { PagedList } from './state/paged-list';
import { Plan } from './state/plan';

export interface MemoryStoreOptions {
  /** Threads that scan, shared by all galleries. */
  threadCount: number;
  precision: VectorPrecision;
  /** Bytes that all galleries may take; what would take more is refused with GALLERY_FULL. @defaultValue no limit */
  maxBytes?: number;
  /** Most galleries; one more is refused with GALLERY_FULL. @defaultValue no limit */
  maxGalleries?: number;
}

/**
 * Bytes of a reference and its share of a subject in memory beside its row of the index: objects, ids, hash, map entries.
 * Measured with four references to a subject: 1,320 to 1,420 (docs/benchmarks.md, `gallery-stores`).
 */
const BYTES_BESIDE_ROW = 1536;

/**
 * Galleries in the memory of the process, gone with it.
 *
 * @publicApi
 */
export class MemoryStore extends GalleryStore {
  /** Numbers of the records in a file, where there is one. */
  protected records = new NumberPool();
  private readonly galleries = new LayeredMap<GalleryEntry>();
  private readonly list = new PagedList<GalleryEntry>();
  private readonly scanner: VectorScanner;
  private readonly searches = new Set<Promise<unknown>>();
  private lastUid = 0;

  constructor(private readonly options: MemoryStoreOptions) {
    super();
    this.scanner = new VectorScanner({ threadCount: options.threadCount });
  }

  createGallery(gallery: NewGallery): Promise<Gallery> {
    return this.change((plan) => {
      if (this.galleries.getPlanned(gallery.id)) throw galleryErrors.galleryExists(gallery.id);
      const uid = this.nextUid();
      const now = Date.now();
      const state = this.makeState({ ...gallery, uid });
      return this.setGallery(plan, { ...gallery, uid, record: -1, createdAt: now, updatedAt: now, state });
    });
  }

  async getGallery(galleryId: string): Promise<Gallery> {
    return toGallery(this.settled(galleryId));
  }

  async listGalleries(page: PageRequest): Promise<Page<Gallery>> {
    return this.list.page(page, toGallery);
  }

  updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery> {
    return this.change((plan) => {
      const old = this.planned(galleryId);
      plan.erase(old.record);
      return this.setGallery(plan, { ...old, ...changes, updatedAt: Date.now() });
    });
  }

  async deleteGallery(galleryId: string): Promise<DeletionCounts> {
    const { state, counts } = await this.change((plan) => {
      const { uid, record, state } = this.planned(galleryId);
      plan.erase(record);
      const counts = state.eraseAll(plan);
      plan.set(this.galleries, galleryId, undefined);
      plan.afterwards(() => this.list.delete(uid));
      return () => ({ state, counts });
    });
    await state.close();
    return counts;
  }

  putSubject(
    galleryId: string,
    subjectId: string,
    metadata: Metadata,
    rights: Partial<SubjectRights> = {},
  ): Promise<{ subject: Subject; isNew: boolean }> {
    return this.change((plan) => {
      const { state } = this.planned(galleryId);
      const { isNew } = state.putSubject(plan, subjectId, metadata, rights);
      return () => ({ subject: state.getSubject(subjectId), isNew });
    });
  }

  async getSubject(galleryId: string, subjectId: string): Promise<Subject> {
    return this.settled(galleryId).state.getSubject(subjectId);
  }

  async listSubjects(
    galleryId: string,
    page: PageRequest & { filter?: MetadataFilter },
  ): Promise<Page<Subject>> {
    return this.settled(galleryId).state.listSubjects(page);
  }

  recordMatches(galleryId: string, subjectIds: readonly string[], matchedAt: number): Promise<void> {
    return this.change((plan) => {
      this.planned(galleryId).state.recordMatches(plan, subjectIds, matchedAt);
      return () => undefined;
    });
  }

  renameSubject(
    galleryId: string,
    subjectId: string,
    newSubjectId: string,
    { merge }: { merge: boolean },
  ): Promise<Subject> {
    return this.change((plan) => {
      const { state, maxReferencesPerSubject } = this.planned(galleryId);
      state.renameSubject(plan, subjectId, newSubjectId, { merge, maxReferencesPerSubject });
      return () => state.getSubject(newSubjectId);
    });
  }

  deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts> {
    return this.change((plan) => {
      const counts = this.planned(galleryId).state.deleteSubject(plan, subjectId);
      return () => counts;
    });
  }

  addReferences(
    galleryId: string,
    references: readonly NewReference[],
  ): Promise<(AddedReference | FaceError)[]> {
    return this.change((plan) => {
      const gallery = this.planned(galleryId);
      const { state } = gallery;
      const { maxBytes = Infinity } = this.options;
      const bytesOfOne = bytesOfReference(gallery.dimensions, this.options.precision);
      let takenBytes = this.plannedBytes();
      const outcomes: (AddedReference | FaceError)[] = [];
      for (const reference of references) {
        const hasRoom = takenBytes + bytesOfOne <= maxBytes;
        const outcome = state.addReference(plan, reference, gallery, () =>
          hasRoom ? undefined : galleryErrors.memoryFull(galleryId, maxBytes),
        );
        if ('entry' in outcome && outcome.status === 'added') takenBytes += bytesOfOne;
        // Each is answered as it is when those before it are there, and those after it are not.
        plan.afterwards(() => outcomes.push('entry' in outcome ? state.toAdded(outcome) : outcome));
      }
      return () => outcomes;
    });
  }

  async getReference(galleryId: string, subjectId: string, referenceId: string): Promise<StoredReference> {
    return this.settled(galleryId).state.getReference(subjectId, referenceId);
  }

  async listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]> {
    return this.settled(galleryId).state.listReferences(subjectId);
  }

  override async describeReferences(galleryId: string, subjectIds: readonly string[]): Promise<Reference[]> {
    const { state } = this.settled(galleryId);
    return subjectIds.flatMap((subjectId) => state.describeReferences(subjectId));
  }

  updateReference(
    galleryId: string,
    subjectId: string,
    referenceId: string,
    metadata: Metadata,
    rights: Partial<ReferenceRights> = {},
  ): Promise<Reference> {
    return this.change((plan) => {
      const { state } = this.planned(galleryId);
      state.updateReference(plan, subjectId, referenceId, { ...rights, metadata });
      return () => {
        const { embedding: _embedding, ...reference } = state.getReference(subjectId, referenceId);
        return reference;
      };
    });
  }

  deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void> {
    return this.change((plan) => {
      this.planned(galleryId).state.deleteReference(plan, subjectId, referenceId);
      return () => undefined;
    });
  }

  async search(galleryId: string, probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    const search = this.settled(galleryId).state.search(probes, options);
    this.searches.add(search);
    try {
      return await search;
    } finally {
      this.searches.delete(search);
    }
  }

  async *exportRecords(galleryId: string): AsyncGenerator<GalleryRecord> {
    yield* this.settled(galleryId).state.records();
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.searches);
    await Promise.all(this.list.toArray().map((gallery) => gallery.state.close()));
    await this.scanner.close();
  }

  /** Makes a planned change safe and settles it; memory is as safe as it gets. Plans settle in the order of the calls. */
  protected async commit(plan: Plan): Promise<void> {
    plan.settle();
  }

  protected makeState(gallery: { uid: number; id: string; dimensions: number }): GalleryState {
    const { precision } = this.options;
    const index = new VectorIndex({ dimensions: gallery.dimensions, precision, scanner: this.scanner });
    return new GalleryState(gallery, index, () => this.nextUid());
  }

  /** Takes over what comes from the medium. */
  protected restore(galleries: readonly GalleryEntry[], lastUid: number): void {
    for (const gallery of galleries) {
      this.galleries.restore(gallery.id, gallery);
      this.list.set(gallery);
    }
    this.lastUid = lastUid;
  }

  /** What all galleries will take. */
  private plannedBytes(): number {
    let bytes = 0;
    for (const { dimensions, state } of this.galleries.plannedValues())
      bytes += state.plannedReferenceCount * bytesOfReference(dimensions, this.options.precision);
    return bytes;
  }

  private nextUid(): number {
    return ++this.lastUid;
  }

  private settled(galleryId: string): GalleryEntry {
    const gallery = this.galleries.get(galleryId);
    if (!gallery) throw galleryErrors.galleryNotFound(galleryId);
    return gallery;
  }

  private planned(galleryId: string): GalleryEntry {
    const gallery = this.galleries.getPlanned(galleryId);
    if (!gallery) throw galleryErrors.galleryNotFound(galleryId);
    return gallery;
  }

  /** @returns the answer of a change of the gallery. */
  private setGallery(plan: Plan, gallery: GalleryEntry): () => Gallery {
    const entry = plan.write(
      (record): GalleryEntry => ({ ...gallery, record }),
      (written) => ({ kind: 'gallery', gallery: written }),
    );
    plan.set(this.galleries, entry.id, entry);
    plan.afterwards(() => this.list.set(entry));
    return () => toGallery(entry);
  }

  /**
   * Makes one change, all of it or nothing.
   *
   * @param make - plans it, or throws before it planned anything; gives what answers when it has settled.
   */
  private async change<T>(make: (plan: Plan) => () => T): Promise<T> {
    const plan = new Plan(this.records);
    let answer: T;
    try {
      const toAnswer = make(plan);
      plan.afterwards(() => (answer = toAnswer()));
    } catch (error) {
      // It may be refused for what is on its way: that must be safe before anyone is told.
      await this.commit(plan);
      throw error;
    }
    await this.commit(plan);
    return answer!;
  }
}

function bytesOfReference(dimensions: number, precision: VectorPrecision): number {
  return dimensions * (precision === 'int8' ? 5 : 4) + BYTES_BESIDE_ROW;
}
