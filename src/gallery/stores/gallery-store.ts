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
 * Where galleries are kept and searched. Type and injection token at once.
 *
 * A change is acknowledged (its promise settles) when it is as safe as the store promises; every read and search that
 * begins after that sees it. A change that fails has changed nothing. Changes never wait for searches, nor searches for
 * changes; a search that runs beside a change gives the state before or after it, subject by subject. What was deleted is
 * gone for good when the promise of its deletion settles: from memory and, where there are any, from files.
 *
 * Callers give valid ids, metadata, settings and unit vectors; what depends on what is stored is checked here. Every method
 * with a `galleryId` throws GALLERY_NOT_FOUND, with a `subjectId` SUBJECT_NOT_FOUND, with a `referenceId`
 * REFERENCE_NOT_FOUND (also where the reference is of another subject), except where it says otherwise. A failure of the
 * medium is GALLERY_STORE_FAILED.
 *
 * Every store passes `test/support/gallery-store-contract.ts`.
 *
 * @publicApi
 */
export abstract class GalleryStore {
  /** True when a fault of the store itself ended all changes: they fail with GALLERY_STORE_STOPPED; reads and searches go on. */
  get isStopped(): boolean {
    return false;
  }

  /** Number of the last change that reads see, of those of all replicas; `null` where there are no others. */
  get revision(): number | null {
    return null;
  }

  /**
   * Since when changes of other replicas may be missing here, milliseconds since 1970, UTC; `null` where none is. Changes fail
   * meanwhile; reads and searches go on.
   */
  get staleSince(): number | null {
    return null;
  }

  /**
   * Called when this replica has read that another one took away a gallery, a subject or references. What this process takes away
   * itself its caller knows. Must not throw.
   */
  onRemoved?: () => void;

  /**
   * Waits until reads see every change up to a number, of any replica.
   *
   * @returns whether they do, in time.
   *
   * @example
   * // A change on another replica answered revision 812:
   * if (await store.waitFor(812, 1000)) await store.getSubject('staff', 'alice');
   */
  async waitFor(_revision: number, _timeoutMs?: number): Promise<boolean> {
    return true;
  }

  /**
   * Whether it keeps crops, and lets a gallery take the place of another: without it a gallery cannot be moved to another
   * embedder.
   */
  get keepsCrops(): boolean {
    return false;
  }

  /**
   * @throws {FaceError} GALLERY_EXISTS; GALLERY_FULL where the store takes no more galleries.
   *
   * @example
   * await store.createGallery({ ...DEFAULT_GALLERY_SETTINGS, id: 'staff', contract, dimensions: 512 });
   */
  abstract createGallery(gallery: NewGallery): Promise<Gallery>;

  /**
   * @example
   * const { referenceCount } = await store.getGallery('staff');
   */
  abstract getGallery(galleryId: string): Promise<Gallery>;

  /**
   * @example
   * const { items, next } = await store.listGalleries({ limit: 100 });
   */
  abstract listGalleries(page: PageRequest): Promise<Page<Gallery>>;

  /**
   * A capacity or limit below what is there already is taken: nothing goes, nothing more comes in.
   *
   * @example
   * await store.updateGallery('staff', { capacity: 50_000 });
   */
  abstract updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery>;

  /**
   * With all its subjects and references. @returns exactly how many went, those of changes that were made before included.
   *
   * @example
   * const { referenceCount } = await store.deleteGallery('staff');
   */
  abstract deleteGallery(galleryId: string): Promise<DeletionCounts>;

  /**
   * Deletes a gallery and gives its id to another one, in one change: whoever asks for it gets the one or the other.
   *
   * Only called where {@link keepsCrops} is true.
   *
   * @param copyId - of the gallery that takes the id of the deleted one; that of `copyId` is free then.
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
   * Makes a subject without references, or replaces the metadata of one that is there. Rights and history that are absent stay;
   * rights of a new subject are `null`.
   *
   * @throws {FaceError} GALLERY_FULL for a new subject in a gallery that has as many as it may have.
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
   * @example
   * const { metadata, referenceCount } = await store.getSubject('staff', 'alice');
   */
  abstract getSubject(galleryId: string, subjectId: string): Promise<Subject>;

  /**
   * @example
   * const { items } = await store.listSubjects('staff', { limit: 100, filter: { team: 'red' } });
   */
  abstract listSubjects(
    galleryId: string,
    page: PageRequest & { filter?: MetadataFilter },
  ): Promise<Page<Subject>>;

  /**
   * Notes when subjects matched, and changes nothing else of them. Subjects that are not there, or have a later match, stay
   * as they are.
   *
   * @param matchedAt - milliseconds since 1970, UTC.
   *
   * @example
   * await store.recordMatches('staff', ['alice', 'bob'], Date.now());
   */
  abstract recordMatches(galleryId: string, subjectIds: readonly string[], matchedAt: number): Promise<void>;

  /**
   * Gives a subject another id. Where the new id is taken, `merge` moves the references to the one that has it (those of an
   * image that it has already are dropped), adds the metadata that it lacks, and removes the subject that was renamed.
   *
   * @throws {FaceError} SUBJECT_EXISTS where the new id is taken and `merge` is false; SUBJECT_FULL where both together have
   * more references than a subject may have.
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
   * With all its references. @returns exactly how many went.
   *
   * @example
   * const { referenceCount } = await store.deleteSubject('staff', 'alice');
   */
  abstract deleteSubject(galleryId: string, subjectId: string): Promise<DeletionCounts>;

  /**
   * Adds references, and the subjects that are not there yet (without metadata), in the given order: an outcome for each.
   * One acknowledgement for all; one that is refused does not keep the others out.
   *
   * A FaceError in the answer: GALLERY_FULL, SUBJECT_FULL, EMBEDDING_INVALID (wrong length).
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
   * @example
   * const { embedding, quality } = await store.getReference('staff', 'alice', referenceId);
   */
  abstract getReference(galleryId: string, subjectId: string, referenceId: string): Promise<StoredReference>;

  /**
   * Of a subject, in the order in which they were added.
   *
   * @example
   * const [first] = await store.listReferences('staff', 'alice');
   */
  abstract listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]>;

  /**
   * References of several subjects, without their embeddings, in any order. Subjects that are not there are left out.
   *
   * This one reads the embeddings and drops them: a store that can leave them alone has its own.
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
   * The crop of a reference, as it was added.
   *
   * This one is of a store that keeps none.
   *
   * @returns a copy: safe to keep. `null` where there is none, or none that can be read.
   *
   * @example
   * const crop = await store.getCrop('staff', 'alice', referenceId);
   */
  async getCrop(galleryId: string, subjectId: string, referenceId: string): Promise<Uint8Array | null> {
    await this.getReference(galleryId, subjectId, referenceId);
    return null;
  }

  /**
   * Erases the crops of all references of some subjects; the references stay. Subjects that are not there are left out.
   *
   * @returns how many went.
   *
   * @example
   * const count = await store.deleteCrops('staff', ['alice']);
   */
  async deleteCrops(galleryId: string, _subjectIds: readonly string[]): Promise<number> {
    await this.getGallery(galleryId);
    return 0;
  }

  /**
   * Replaces the metadata. Rights that are absent stay.
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
   * The subject stays, even without references.
   *
   * @example
   * await store.deleteReference('staff', 'alice', referenceId);
   */
  abstract deleteReference(galleryId: string, subjectId: string, referenceId: string): Promise<void>;

  /**
   * Subjects by their most similar reference, most similar first, for each probe: exact, over all references. Equally similar
   * ones come in the order of their subject ids.
   *
   * @param probes - Float32Array [D] each, unit length; not copied: leave them alone until the answer.
   * @throws {FaceError} EMBEDDING_INVALID where a probe has another length than the gallery's embeddings.
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
   * All that a gallery holds, while it goes on changing: what is there from beginning to end comes exactly once.
   *
   * @example
   * for await (const record of store.exportRecords('staff')) console.log(record.kind);
   */
  abstract exportRecords(galleryId: string): AsyncIterable<GalleryRecord>;

  /**
   * Lets what runs finish; afterwards nothing may be called.
   *
   * @example
   * await store.close();
   */
  abstract close(): Promise<void>;
}
