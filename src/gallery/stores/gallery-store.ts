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
import { type FaceError, nullOn } from '../../errors';

/**
 * Stores and searches galleries. Both type and injection token.
 *
 * A change is acknowledged (its promise settles) when it is as durable as the store promises; every later read and search
 * sees it. A failed change has changed nothing. Changes and searches never wait for each other; a search during a change
 * returns the state before or after it, subject by subject. When the promise of a deletion settles, the data is erased from
 * memory and from files.
 *
 * Callers pass valid ids, metadata, settings and unit vectors; the store checks what depends on its content. Unless documented
 * otherwise, methods throw GALLERY_NOT_FOUND for a `galleryId`, SUBJECT_NOT_FOUND for a `subjectId` and REFERENCE_NOT_FOUND
 * for a `referenceId`, also for a reference of another subject; and GALLERY_STORE_FAILED for a failure of the medium.
 *
 * Every store passes `test/support/gallery-store-contract.ts`.
 *
 * @publicApi
 */
export abstract class GalleryStore {
  /** True after an internal fault: changes fail with GALLERY_STORE_STOPPED; reads and searches still work. */
  get isStopped(): boolean {
    return false;
  }

  /** Number of the last change, of any replica, that reads see; `null` for a store without replicas. */
  get revision(): number | null {
    return null;
  }

  /**
   * Time since which changes of other replicas may be missing here, milliseconds since 1970, UTC; `null` if none are. Meanwhile
   * changes fail; reads and searches still work.
   */
  get staleSince(): number | null {
    return null;
  }

  /**
   * Called when this replica reads that another one deleted a gallery, a subject or references; not called for deletions by this
   * process. Must not throw.
   */
  onRemoved?: () => void;

  /**
   * Waits until reads see every change up to a revision, of any replica.
   *
   * @returns false after the timeout.
   *
   * @example
   * // A change on another replica answered revision 812:
   * if (await store.waitFor(812, 1000)) await store.getSubject('staff', 'alice');
   */
  async waitFor(_revision: number, _timeoutMs?: number): Promise<boolean> {
    return true;
  }

  /**
   * Whether the store keeps crops and can replace one gallery with another: both are needed to migrate a gallery to another
   * embedder.
   */
  get keepsCrops(): boolean {
    return false;
  }

  /**
   * Creates a gallery.
   *
   * @throws {FaceError} GALLERY_EXISTS; GALLERY_FULL if the store accepts no more galleries.
   *
   * @example
   * await store.createGallery({ ...DEFAULT_GALLERY_SETTINGS, id: 'staff', contract, dimensions: 512 });
   */
  abstract createGallery(gallery: NewGallery): Promise<Gallery>;

  /**
   * Reads a gallery.
   *
   * @example
   * const { referenceCount } = await store.getGallery('staff');
   */
  abstract getGallery(galleryId: string): Promise<Gallery>;

  /**
   * Lists the galleries in pages.
   *
   * @example
   * const { items, next } = await store.listGalleries({ limit: 100 });
   */
  abstract listGalleries(page: PageRequest): Promise<Page<Gallery>>;

  /**
   * Changes settings. A capacity or limit below the current count is allowed: nothing is removed, and nothing more can be added.
   *
   * @example
   * await store.updateGallery('staff', { capacity: 50_000 });
   */
  abstract updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery>;

  /**
   * Deletes a gallery with all its subjects and references.
   *
   * @returns the exact numbers of deleted subjects and references, including those of all earlier changes.
   *
   * @example
   * const { referenceCount } = await store.deleteGallery('staff');
   */
  abstract deleteGallery(galleryId: string): Promise<DeletionCounts>;

  /**
   * Deletes a gallery and gives its id to another one, in one change: reads return either the old or the new one.
   *
   * Only called if {@link keepsCrops} is true.
   *
   * @param copyId - id of the gallery that takes over the deleted one's id; `copyId` becomes free.
   * @returns the gallery under its new id.
   *
   * @example
   * const gallery = await store.replaceGallery('staff', 'staff.face-resnet-128');
   * // gallery.id: 'staff'
   */
  replaceGallery(_galleryId: string, _copyId: string): Promise<Gallery> {
    return Promise.reject(new Error('This store does not let a gallery take the place of another.'));
  }

  /**
   * Creates a subject without references, or replaces the metadata of an existing one. Absent rights and history stay
   * unchanged; rights of a new subject are `null`.
   *
   * @throws {FaceError} GALLERY_FULL for a new subject if the gallery has its maximum.
   *
   * @example
   * const { isNew } = await store.putSubject('staff', 'alice', { team: 'red' });
   */
  abstract putSubject(
    galleryId: string,
    subjectId: string,
    metadata: Metadata,
    rights?: Partial<SubjectRights & SubjectHistory>,
  ): Promise<{ subject: Subject; isNew: boolean }>;

  /**
   * Reads a subject.
   *
   * @example
   * const { metadata, referenceCount } = await store.getSubject('staff', 'alice');
   */
  abstract getSubject(galleryId: string, subjectId: string): Promise<Subject>;

  /**
   * Lists the subjects in pages.
   *
   * @example
   * const { items } = await store.listSubjects('staff', { limit: 100, filter: { team: 'red' } });
   */
  abstract listSubjects(
    galleryId: string,
    page: PageRequest & { filter?: MetadataFilter },
  ): Promise<Page<Subject>>;

  /**
   * Records when subjects matched. Ignores missing subjects, and those with a later match.
   *
   * @param matchedAt - milliseconds since 1970, UTC.
   *
   * @example
   * await store.recordMatches('staff', ['alice', 'bob'], Date.now());
   */
  abstract recordMatches(galleryId: string, subjectIds: readonly string[], matchedAt: number): Promise<void>;

  /**
   * Renames a subject. If the new id is taken, `merge` moves the references to the subject that has it, except those of images
   * that it has already, adds missing metadata to it, and removes the renamed subject.
   *
   * @throws {FaceError} SUBJECT_EXISTS if the new id is taken and `merge` is false; SUBJECT_FULL if both together exceed the
   * maximum number of references per subject.
   *
   * @example
   * await store.renameSubject('staff', 'alice', 'alice.smith', { merge: false });
   */
  abstract renameSubject(
    galleryId: string,
    subjectId: string,
    newSubjectId: string,
    options: { merge: boolean },
  ): Promise<Subject>;

  /**
   * Deletes a subject with all its references.
   *
   * @returns the exact numbers of deleted subjects and references.
   *
   * @example
   * const { referenceCount } = await store.deleteSubject('staff', 'alice');
   */
  abstract deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts>;

  /**
   * Adds references in the given order, and creates missing subjects without metadata. All are acknowledged together; a refused
   * one does not affect the others.
   *
   * @returns an outcome per reference, or a FaceError: GALLERY_FULL, SUBJECT_FULL, EMBEDDING_INVALID (wrong length).
   *
   * @example
   * const reference = { id: randomUUID(), subjectId: 'alice', embedding, metadata: {}, quality: null, imageHash: null };
   * const [outcome] = await store.addReferences('staff', [reference]);
   */
  abstract addReferences(
    galleryId: string,
    references: readonly NewReference[],
  ): Promise<(AddedReference | FaceError)[]>;

  /**
   * Reads a reference with its embedding.
   *
   * @example
   * const { embedding, quality } = await store.getReference('staff', 'alice', referenceId);
   */
  abstract getReference(galleryId: string, subjectId: string, referenceId: string): Promise<StoredReference>;

  /**
   * Lists the references of a subject in the order of addition.
   *
   * @example
   * const [first] = await store.listReferences('staff', 'alice');
   */
  abstract listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]>;

  /**
   * Lists the references of several subjects without embeddings, in any order. Ignores missing subjects.
   *
   * This default reads the embeddings and drops them; stores that can avoid reading them override it.
   *
   * @example
   * const references = await store.describeReferences('staff', ['alice', 'bob']);
   */
  async describeReferences(galleryId: string, subjectIds: readonly string[]): Promise<Reference[]> {
    const lists = await Promise.all(
      subjectIds.map((id) => nullOn('SUBJECT_NOT_FOUND', this.listReferences(galleryId, id))),
    );
    return lists.flatMap((list) => (list ?? []).map(({ embedding: _embedding, ...reference }) => reference));
  }

  /**
   * Reads the crop of a reference. This default is for stores without crops.
   *
   * @returns a copy, safe to keep; `null` if there is none, or it cannot be read.
   *
   * @example
   * const crop = await store.getCrop('staff', 'alice', referenceId);
   */
  async getCrop(galleryId: string, subjectId: string, referenceId: string): Promise<Uint8Array | null> {
    await this.getReference(galleryId, subjectId, referenceId);
    return null;
  }

  /**
   * Erases the crops of all references of some subjects; the references stay. Ignores missing subjects.
   *
   * @returns the number of erased crops.
   *
   * @example
   * const count = await store.deleteCrops('staff', ['alice']);
   */
  async deleteCrops(galleryId: string, _subjectIds: readonly string[]): Promise<number> {
    await this.getGallery(galleryId);
    return 0;
  }

  /**
   * Replaces the metadata of a reference. Absent rights stay unchanged.
   *
   * @example
   * await store.updateReference('staff', 'alice', referenceId, { camera: 'door' }, { expiresAt: null });
   */
  abstract updateReference(
    galleryId: string,
    subjectId: string,
    referenceId: string,
    metadata: Metadata,
    rights?: Partial<ReferenceRights>,
  ): Promise<Reference>;

  /**
   * Deletes a reference. The subject stays, even without references.
   *
   * @example
   * await store.deleteReference('staff', 'alice', referenceId);
   */
  abstract deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void>;

  /**
   * Finds the most similar subjects of each probe, most similar first, by their most similar reference: exact, over all
   * references. Equally similar ones are sorted by subject id.
   *
   * @param probes - Float32Array [D] each, unit length. Not copied: do not change them before the result.
   * @throws {FaceError} EMBEDDING_INVALID if the length of a probe differs from the gallery's embeddings.
   *
   * @example
   * const [hits] = await store.search('staff', [embedding], { limit: 5, minSimilarity: 0.446 });
   * // hits[0]: { subjectId: 'alice', referenceId: '0d4f2c1e-...', similarity: 0.69 }
   */
  abstract search(
    galleryId: string,
    probes: readonly Float32Array[],
    options: SearchOptions,
  ): Promise<Hit[][]>;

  /**
   * Iterates over the content of a gallery, which can change meanwhile: records that exist throughout come exactly once.
   *
   * @example
   * for await (const record of store.exportRecords('staff')) console.log(record.kind);
   */
  abstract exportRecords(galleryId: string): AsyncIterable<GalleryRecord>;

  /**
   * Waits for running calls and closes the store: no method may be called afterwards.
   *
   * @example
   * await store.close();
   */
  abstract close(): Promise<void>;
}
