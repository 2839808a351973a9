import { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import { ChangeQueue, type Member, type Planned, type ReservedChange, takesAway } from './change-queue';
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
  SubjectHistory,
  SubjectRights,
} from '../gallery.types';
import { InProgress } from '../in-progress';
import { VectorIndex, type VectorPrecision } from '../search/vector-index';
import { VectorScanner } from '../search/vector-scanner';
import { Draft, WAITS, wholeName } from './state/draft';
import type { CropEntry } from './state/entries';
import { type GalleryEntry, toGallery } from './state/gallery-entry';
import { GalleryState } from './state/gallery-state';
import { GalleryTable } from './state/gallery-table';
import * as plans from './state/plan-changes';
import { bytesOfGallery } from './state/weigh';

export interface MemoryStoreOptions {
  /** Number of scan threads, shared by all galleries. */
  threadCount: number;
  precision: VectorPrecision;
  /** Memory limit of all galleries in bytes; changes beyond it fail with GALLERY_FULL. @defaultValue no limit */
  maxBytes?: number;
  /** Limit of their share in the JavaScript heap: everything except vectors and encoded crops. @defaultValue no limit */
  maxHeapBytes?: number;
  /** Maximum number of galleries; one more fails with GALLERY_FULL. @defaultValue no limit */
  maxGalleries?: number;
}

/** An applied change whose removed data is not wiped yet. */
interface Made extends Pick<Member, 'resolve' | 'reject'> {
  answer: unknown;
}

/**
 * Galleries in the memory of the process, lost when it ends.
 *
 * A group of changes, see {@link ChangeQueue}, is first reserved: each change plans which entries it replaces, and reserves
 * everything that can run out. Then the group is written as a whole ({@link write}, in stores with a medium), then applied.
 *
 * @publicApi
 */
export class MemoryStore extends GalleryStore {
  protected table = this.newTable();
  private readonly scanner: VectorScanner;
  private searches = new InProgress();
  protected readonly queue = new ChangeQueue({
    gather: () => this.gather(),
    reserve: (plan) => this.reserve(plan),
    make: (group) => this.make(group),
  });
  protected stoppedBy?: unknown;
  protected lastUid = 0;

  constructor(private readonly options: MemoryStoreOptions) {
    super();
    this.scanner = new VectorScanner({ threadCount: options.threadCount });
  }

  override get isStopped(): boolean {
    return this.stoppedBy !== undefined;
  }

  override get keepsCrops(): boolean {
    return true;
  }

  createGallery(gallery: NewGallery): Promise<Gallery> {
    return this.queue.change(() => {
      this.checkName(gallery.id);
      if (this.table.byId.has(gallery.id)) throw galleryErrors.galleryExists(gallery.id);
      const { maxGalleries = Infinity } = this.options;
      if (this.table.count >= maxGalleries) throw galleryErrors.galleriesFull(gallery.id, maxGalleries);
      this.checkRoom(gallery.id, bytesOfGallery(gallery));
      const now = Date.now();
      const state = this.makeState({ ...gallery, uid: this.nextUid() });
      return this.toReplace(undefined, {
        ...gallery,
        uid: state.uid,
        createdAt: now,
        updatedAt: now,
        state,
      });
    });
  }

  async getGallery(galleryId: string): Promise<Gallery> {
    return toGallery(this.gallery(galleryId));
  }

  async listGalleries(page: PageRequest): Promise<Page<Gallery>> {
    return this.table.list.page(page, toGallery);
  }

  updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery> {
    return this.queue.change(() => {
      const before = this.wholeGallery(galleryId);
      const after = { ...before, ...changes, updatedAt: Date.now() };
      this.checkRoom(galleryId, bytesOfGallery(after) - bytesOfGallery(before));
      return this.toReplace(before, after);
    });
  }

  async deleteGallery(galleryId: string): Promise<DeletionCounts> {
    const { state, counts } = await this.queue.change(() => {
      const before = this.wholeGallery(galleryId);
      const { state } = before;
      const counts = { subjectCount: state.subjectCount, referenceCount: state.referenceCount };
      return { gallery: { before }, answer: () => ({ state, counts }) };
    });
    await state.close();
    return counts;
  }

  override async replaceGallery(galleryId: string, copyId: string): Promise<Gallery> {
    const { state, gallery } = await this.queue.change(() => {
      const replaced = this.wholeGallery(galleryId);
      const before = this.wholeGallery(copyId);
      const after = { ...before, id: galleryId, copyOf: null, updatedAt: Date.now() };
      const answer = () => ({ state: replaced.state, gallery: toGallery(after) });
      return { gallery: { before, after }, replaced, answer };
    });
    await state.close();
    return gallery;
  }

  putSubject(
    galleryId: string,
    subjectId: string,
    metadata: Metadata,
    rights: Partial<SubjectRights & SubjectHistory> = {},
  ): Promise<{ subject: Subject; isNew: boolean }> {
    return this.draft(galleryId, (draft, gallery) => {
      const { isNew } = plans.planSubject(draft, subjectId, metadata, rights, gallery);
      return () => ({ subject: draft.state.getSubject(subjectId), isNew });
    });
  }

  async getSubject(galleryId: string, subjectId: string): Promise<Subject> {
    return this.gallery(galleryId).state.getSubject(subjectId);
  }

  async listSubjects(
    galleryId: string,
    page: PageRequest & { filter?: MetadataFilter },
  ): Promise<Page<Subject>> {
    return this.gallery(galleryId).state.listSubjects(page);
  }

  recordMatches(galleryId: string, subjectIds: readonly string[], matchedAt: number): Promise<void> {
    return this.draft(galleryId, (draft) => {
      plans.planMatches(draft, subjectIds, matchedAt);
      return () => undefined;
    });
  }

  renameSubject(
    galleryId: string,
    subjectId: string,
    newSubjectId: string,
    { merge }: { merge: boolean },
  ): Promise<Subject> {
    return this.draft(galleryId, (draft, { maxReferencesPerSubject }) => {
      plans.planRename(draft, subjectId, newSubjectId, { merge, maxReferencesPerSubject });
      return () => draft.state.getSubject(newSubjectId);
    });
  }

  deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts> {
    return this.draft(galleryId, (draft) => {
      const counts = plans.planSubjectDeletion(draft, subjectId);
      return () => counts;
    });
  }

  addReferences(
    galleryId: string,
    references: readonly NewReference[],
  ): Promise<(AddedReference | FaceError)[]> {
    return this.draft(galleryId, (draft, gallery) => {
      const keepCrops = gallery.keepCrops && this.keepsCrops;
      const planned = plans.planAdditions(draft, references, { ...gallery, keepCrops });
      return () => {
        const later = new Set(draft.references.map(({ after }) => after!.id));
        // The answer for each reference reflects the additions before it, but not those after it.
        return planned.map((outcome) => {
          if (outcome instanceof FaceError) return outcome;
          later.delete(outcome.entry.id);
          return draft.state.toAdded(outcome, later);
        });
      };
    });
  }

  async getReference(galleryId: string, subjectId: string, referenceId: string): Promise<StoredReference> {
    return this.gallery(galleryId).state.getReference(subjectId, referenceId);
  }

  async listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]> {
    return this.gallery(galleryId).state.listReferences(subjectId);
  }

  override async describeReferences(galleryId: string, subjectIds: readonly string[]): Promise<Reference[]> {
    const { state } = this.gallery(galleryId);
    return subjectIds.flatMap((subjectId) => state.describeReferences(subjectId));
  }

  override async getCrop(
    galleryId: string,
    subjectId: string,
    referenceId: string,
  ): Promise<Uint8Array | null> {
    const crop = this.gallery(galleryId).state.getCrop(subjectId, referenceId);
    return (crop && (await this.readCrop(crop))) ?? null;
  }

  override deleteCrops(galleryId: string, subjectIds: readonly string[]): Promise<number> {
    return this.draft(galleryId, (draft) => {
      const count = plans.planCropDeletion(draft, subjectIds);
      return () => count;
    });
  }

  updateReference(
    galleryId: string,
    subjectId: string,
    referenceId: string,
    metadata: Metadata,
    rights: Partial<ReferenceRights> = {},
  ): Promise<Reference> {
    return this.draft(galleryId, (draft) => {
      plans.planReference(draft, subjectId, referenceId, { ...rights, metadata });
      return () => {
        const { embedding: _embedding, ...reference } = draft.state.getReference(subjectId, referenceId);
        return reference;
      };
    });
  }

  deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void> {
    return this.draft(galleryId, (draft) => {
      plans.planReferenceDeletion(draft, subjectId, referenceId);
      return () => undefined;
    });
  }

  async search(galleryId: string, probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    const { state } = this.gallery(galleryId);
    const end = this.searches.start();
    try {
      return await state.search(probes, options);
    } finally {
      end();
    }
  }

  async *exportRecords(galleryId: string): AsyncGenerator<GalleryRecord> {
    yield* this.gallery(galleryId).state.records();
  }

  async close(): Promise<void> {
    await this.queue.settled();
    await this.searchesEnd();
    await this.table.close();
    await this.scanner.close();
  }

  /** Settles when the searches in progress have ended, whatever starts meanwhile. */
  protected searchesEnd(): Promise<void> {
    const { searches } = this;
    this.searches = new InProgress();
    return searches.ended();
  }

  /** Waits for further changes to share the group of the first one. */
  protected async gather(): Promise<void> {}

  /** Makes a group of changes durable, as a whole or not at all. Nothing to do for memory. */
  protected async write(_changes: readonly ReservedChange[]): Promise<void> {}

  /** Settles when all removed data is erased from the medium too. */
  protected async wipe(): Promise<void> {}

  /** Whether crops are held in memory, and count towards its limit. */
  protected readonly holdsCrops: boolean = true;

  /** @returns a copy of the encoded image; `undefined` if it cannot be read. */
  protected async readCrop({ content }: CropEntry): Promise<Uint8Array | undefined> {
    return content?.slice();
  }

  protected newTable(): GalleryTable {
    const { maxBytes = Infinity, maxHeapBytes = Infinity } = this.options;
    return new GalleryTable({ all: maxBytes, heap: maxHeapBytes });
  }

  protected makeState({
    uid,
    id,
    dimensions,
  }: {
    uid: number;
    id: string;
    dimensions: number;
  }): GalleryState {
    const { precision } = this.options;
    const index = new VectorIndex({ dimensions, precision, scanner: this.scanner });
    const rowBytes = dimensions * (precision === 'int8' ? 5 : 4);
    return new GalleryState({ uid, id, dimensions, rowBytes, holdsCrops: this.holdsCrops }, index);
  }

  /** Takes over galleries read from the medium. */
  protected restore(galleries: readonly GalleryEntry[], lastUid: number): void {
    for (const gallery of galleries) {
      this.table.reserve({ after: gallery }, 1);
      this.table.replace({ after: gallery });
    }
    this.lastUid = lastUid;
  }

  protected nextUid(): number {
    return ++this.lastUid;
  }

  /** @throws {FaceError} GALLERY_NOT_FOUND */
  private gallery(galleryId: string): GalleryEntry {
    const gallery = this.table.byId.get(galleryId);
    if (!gallery) throw galleryErrors.galleryNotFound(galleryId);
    return gallery;
  }

  /** Gallery for a change of itself, which waits until no change of its content is in progress. */
  private wholeGallery(galleryId: string): GalleryEntry {
    this.checkName(galleryId);
    const gallery = this.gallery(galleryId);
    this.checkName(wholeName(gallery.state));
    return gallery;
  }

  private checkName(name: string): void {
    if (this.table.reserved.names.has(name)) throw WAITS;
  }

  /** @param bytes - growth of the gallery entry, without its content. */
  private checkRoom(galleryId: string, bytes: number): void {
    const refusal = this.table.reserved.room.refusal(galleryId, { all: bytes, heap: bytes });
    if (refusal) throw refusal;
  }

  private toReplace(before: GalleryEntry | undefined, after: GalleryEntry): Planned<Gallery> {
    return { gallery: { before, after }, answer: () => toGallery(after) };
  }

  /** Makes a change of a gallery's content. */
  private draft<T>(galleryId: string, plan: (draft: Draft, gallery: GalleryEntry) => () => T): Promise<T> {
    return this.queue.change(() => {
      this.checkName(galleryId);
      const gallery = this.gallery(galleryId);
      const draft = new Draft(gallery.state, this.table.reserved, () => this.nextUid());
      try {
        const answer = plan(draft, gallery);
        draft.checkGrowth();
        return { draft, answer };
      } catch (error) {
        draft.discard();
        throw error;
      }
    });
  }

  protected async make(group: readonly Member[]): Promise<void> {
    try {
      await this.write(group.map(({ planned }) => planned));
    } catch (error) {
      for (const { planned, reject } of group) {
        this.release(planned);
        reject(galleryErrors.storeFailed(error));
      }
      this.table.reserved.names.clear();
      return;
    }
    const removing: Made[] = [];
    for (const { planned, resolve, reject } of group) {
      try {
        this.apply(planned);
        const made = { answer: planned.answer(), resolve, reject };
        if (takesAway(planned)) removing.push(made);
        else resolve(made.answer as never);
      } catch (error) {
        // Written, but not applied: a bug. Further changes could damage the data.
        this.stop(error);
        reject(galleryErrors.storeStopped(error));
      }
    }
    this.table.reserved.names.clear();
    try {
      await this.wipe();
      for (const { answer, resolve } of removing) resolve(answer as never);
    } catch (error) {
      for (const { reject } of removing) reject(galleryErrors.notWiped(error));
    }
  }

  /** Refuses all changes from now on. */
  protected stop(cause: unknown): void {
    this.stoppedBy ??= cause;
  }

  private reserve<T>(plan: () => Planned<T>): Planned<T> {
    if (this.isStopped) throw galleryErrors.storeStopped(this.stoppedBy);
    const planned = plan();
    const { gallery, replaced, draft } = planned;
    draft?.reserve();
    for (const entry of [gallery?.before, gallery?.after]) if (entry) this.table.reserved.names.add(entry.id);
    if (gallery) this.table.reserve(gallery, 1);
    if (replaced) this.table.reserve({ before: replaced }, 1);
    return planned;
  }

  protected release({ gallery, replaced, draft }: ReservedChange): void {
    draft?.release();
    if (gallery) this.table.reserve(gallery, -1);
    if (replaced) this.table.reserve({ before: replaced }, -1);
  }

  protected apply({ gallery, replaced, draft }: ReservedChange): void {
    draft?.state.apply(draft);
    // The change below gives its id to the other gallery; only the list needs cleaning.
    if (replaced) this.table.list.delete(replaced.uid);
    if (gallery) this.table.replace(gallery);
  }
}
