import { galleryErrors } from '../../gallery-errors';
import { MAX_SAME_IMAGE } from '../../gallery-rules';
import type {
  AddedReference,
  GalleryRecord,
  Hit,
  MetadataFilter,
  Page,
  PageRequest,
  Reference,
  ReferenceKey,
  SearchOptions,
  StoredReference,
  Subject,
} from '../../gallery.types';
import type { IndexHit, VectorIndex } from '../../search/vector-index';
import {
  type CropEntry,
  type PlannedAddition,
  type ReferenceEntry,
  type ReferenceReplacement,
  type Replacement,
  type SubjectEntry,
  toKey,
  toReference,
  toStored,
  toSubject,
} from './entries';
import { MetadataIndex } from './metadata-index';
import { NumberPool } from './number-pool';
import { PagedList, uidOfCursor } from './paged-list';
import { addBytes, type Bytes } from './room';
import { SplitMap } from './split-map';
import { bytesOfReference, bytesOfSubject } from './weigh';

/** Maximum runs of a search whose hits changed meanwhile; after the last one, changed rows are left out. */
const MAX_SEARCHES = 8;

/** Replacements planned by a draft. */
interface GalleryChanges {
  readonly subjects: readonly Replacement<SubjectEntry>[];
  readonly references: readonly ReferenceReplacement[];
}

/** Growth of a gallery. */
interface Growth {
  subjectCount: number;
  referenceCount: number;
  bytes: Bytes;
}

/** Content of one gallery in memory: plain maps, and the index of its embeddings. */
export class GalleryState {
  /** Totals once all reserved changes are applied. */
  readonly planned = { subjects: 0, references: 0, bytes: { all: 0, heap: 0 } };
  private readonly subjects = new SplitMap<string, SubjectEntry>();
  private readonly references = new SplitMap<string, ReferenceEntry>();
  /** Reference ids by image hash; a plain string if only one reference has the image. */
  private readonly images = new SplitMap<string, string | Set<string>>();
  private readonly metadata = new MetadataIndex();
  private readonly list = new PagedList<SubjectEntry>();
  private readonly numbers = new NumberPool();
  private readonly byNumber: (SubjectEntry | undefined)[] = [];
  private readonly byRow: (ReferenceEntry | undefined)[] = [];
  private isClosed = false;

  readonly uid: number;
  /** Changes if the gallery replaces another one. */
  id: string;
  /** Length of every embedding, D. */
  readonly dimensions: number;
  /** Bytes per row of the index. */
  readonly rowBytes: number;
  /** Whether crops are held in memory. */
  readonly holdsCrops: boolean;

  constructor(
    identity: Pick<GalleryState, 'uid' | 'id' | 'dimensions' | 'rowBytes' | 'holdsCrops'>,
    private readonly index: VectorIndex,
  ) {
    ({ uid: this.uid, id: this.id, dimensions: this.dimensions, rowBytes: this.rowBytes } = identity);
    this.holdsCrops = identity.holdsCrops;
  }

  get subjectCount(): number {
    return this.subjects.size;
  }

  get referenceCount(): number {
    return this.references.size;
  }

  // Reads

  getSubject(subjectId: string): Subject {
    return toSubject(this.requireSubject(subjectId));
  }

  async listSubjects({
    filter,
    limit,
    after,
  }: PageRequest & { filter?: MetadataFilter }): Promise<Page<Subject>> {
    if (!filter) return this.list.page({ limit, after }, toSubject);
    const request = { limit, after: uidOfCursor(after) };
    const toItem = (number: number) => toSubject(this.byNumber[number]!);
    const { items, next } = await this.metadata.page(filter, request, toItem);
    return { items, next: next === null ? null : String(next) };
  }

  getReference(subjectId: string, referenceId: string): StoredReference {
    return this.toStored(...this.requireReference(subjectId, referenceId));
  }

  getCrop(subjectId: string, referenceId: string): CropEntry | undefined {
    return this.requireReference(subjectId, referenceId)[0].crop;
  }

  listReferences(subjectId: string): StoredReference[] {
    const subject = this.requireSubject(subjectId);
    return subject.references.map((reference) => this.toStored(reference, subject));
  }

  /** References of a subject without embeddings; empty if the subject does not exist. */
  describeReferences(subjectId: string): Reference[] {
    const subject = this.findSubject(subjectId) ?? this.findSubject(subjectId.normalize());
    return (subject?.references ?? []).map((reference) => toReference(reference, subject!.details.id));
  }

  async search(probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    const { limit, minSimilarity, filter } = options;
    for (const probe of probes)
      if (probe.length !== this.dimensions) throw galleryErrors.wrongLength(this.dimensions, probe.length);
    try {
      for (let searches = 1; ; searches++) {
        const since = this.index.changeCount;
        const subjects = filter && (await this.metadata.mask(filter));
        const found = await this.index.search(probes, { limit, minSimilarity, subjects });
        if (this.isClosed) break;
        const isStale = ({ row }: IndexHit) => this.index.hasChanged(row, since);
        if (searches < MAX_SEARCHES && found.some((hits) => hits.some(isStale))) continue;
        return found.map((hits) => this.toHits(hits.filter((hit) => !isStale(hit))).slice(0, limit));
      }
    } catch (error) {
      if (!this.isClosed) throw galleryErrors.storeFailed(error);
    }
    throw galleryErrors.galleryNotFound(this.id);
  }

  /**
   * Iterates over the subjects that exist at the start, each in its state when its turn comes. A reference that has moved to
   * another subject meanwhile follows its new owner.
   */
  *records(): Generator<GalleryRecord> {
    /** Yielded subject ids by uid: the references of a subject carry the id under which it was yielded. */
    const given = new Map<number, string>();
    for (const old of this.list.snapshot()) {
      const subject = this.list.get(old.details.uid);
      if (subject && !given.has(subject.details.uid)) {
        given.set(subject.details.uid, subject.details.id);
        yield { kind: 'subject', subject: toSubject(subject) };
      }
      for (const { id } of old.references) {
        const owner = this.ownerOf(this.references.get(id));
        if (!owner) continue;
        if (!given.has(owner.details.uid)) {
          given.set(owner.details.uid, owner.details.id);
          yield { kind: 'subject', subject: toSubject(owner) };
        }
        // Everything may have changed since the subject was yielded.
        if (this.isClosed) throw galleryErrors.galleryNotFound(this.id);
        const reference = this.references.get(id);
        if (!reference || this.ownerOf(reference)?.details.uid !== owner.details.uid) continue;
        const embedding = this.index.get(reference.row);
        const subjectId = given.get(owner.details.uid)!;
        yield { kind: 'reference', reference: toStored(reference, subjectId, embedding) };
      }
    }
  }

  /**
   * Describes an added or already present reference. Must be called right after the change is applied.
   *
   * @param later - ids that the same change added after this one.
   */
  toAdded({ status, entry: { id } }: PlannedAddition, later: ReadonlySet<string>): AddedReference {
    const entry = this.references.get(id)!;
    const ids = entry.imageHash === null ? undefined : this.images.get(entry.imageHash);
    const sameImage: ReferenceKey[] = [];
    for (const other of ids instanceof Set ? ids : []) {
      if (sameImage.length === MAX_SAME_IMAGE) break;
      if (other === id || later.has(other)) continue;
      const reference = this.references.get(other)!;
      sameImage.push(toKey(reference, this.ownerOf(reference)!));
    }
    return { status, reference: toReference(entry, this.ownerOf(entry)!.details.id), sameImage };
  }

  // For plans

  /** Finds a subject by exactly this id, without normalization. */
  findSubject(subjectId: string): SubjectEntry | undefined {
    return this.subjects.get(subjectId);
  }

  findReference(referenceId: string): ReferenceEntry | undefined {
    return this.references.get(referenceId);
  }

  /** @returns Float32Array [D], a copy. */
  embeddingOf({ row }: ReferenceEntry): Float32Array {
    return this.index.get(row);
  }

  /** Snapshot of all subjects. */
  entries(): Iterable<SubjectEntry> {
    return this.list.snapshot();
  }

  takeNumber(): number {
    return this.numbers.take();
  }

  giveNumber(number: number): void {
    this.numbers.give(number);
  }

  /** @throws {RangeError} if the process has no address space left. */
  takeRow(): number {
    return this.index.take();
  }

  giveRow(row: number): void {
    this.index.give(row);
  }

  // Changes

  /** Whether a subject has this uid. */
  hasUid(uid: number): boolean {
    return this.list.get(uid) !== undefined;
  }

  /** Adds the growth of a change to the planned totals, or takes it off again (-1). */
  plan({ subjectCount, referenceCount, bytes }: Growth, sign: 1 | -1): void {
    this.planned.subjects += sign * subjectCount;
    this.planned.references += sign * referenceCount;
    addBytes(this.planned.bytes, bytes, sign);
  }

  /** Applies a change that has reserved everything it needs. Nothing in it can fail. */
  apply({ subjects, references }: GalleryChanges): void {
    for (const replacement of references) this.applyReference(replacement);
    for (const replacement of subjects) this.applySubject(replacement);
  }

  /** Frees the index. Searches under way fail with GALLERY_NOT_FOUND. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.index.close();
  }

  private applySubject({ before, after }: Replacement<SubjectEntry>): void {
    const isSame = before?.details.uid === after?.details.uid;
    if (before) {
      const { id, uid, metadata } = before.details;
      if (id !== after?.details.id) this.subjects.delete(id);
      if (!isSame) {
        this.metadata.remove(uid, metadata);
        this.list.delete(uid);
      }
      if (!after) {
        this.byNumber[before.number] = undefined;
        this.numbers.give(before.number);
      }
    }
    if (after) {
      const { id, uid, metadata } = after.details;
      this.byNumber[after.number] = after;
      this.subjects.set(id, after);
      this.list.set(uid, after);
      if (isSame) this.metadata.update(uid, before!.details.metadata, metadata);
      else this.metadata.add(uid, after.number, metadata);
    }
  }

  private applyReference({ before, after, embedding }: ReferenceReplacement): void {
    if (after) {
      if (embedding) this.index.set(after.row, embedding, after.subject);
      else if (before && before.subject !== after.subject) this.index.setSubject(after.row, after.subject);
      this.references.set(after.id, after);
      this.byRow[after.row] = after;
      if (!before) this.addImage(after);
    } else if (before) {
      this.removeImage(before);
      this.references.delete(before.id);
      this.byRow[before.row] = undefined;
      this.index.remove(before.row);
    }
  }

  // Restore from a medium

  /**
   * Adds a vector to the index before its entry is restored.
   *
   * @returns its row.
   */
  restoreVector(embedding: Float32Array, subject: number): number {
    return this.index.add(embedding, subject);
  }

  /** Removes the vector of an entry that is not restored. */
  leaveOut(row: number): void {
    this.index.remove(row);
  }

  /** Restores a subject whose vectors are already in the index. */
  restore(subject: SubjectEntry): void {
    this.apply({
      subjects: [{ after: subject }],
      references: subject.references.map((after) => ({ after })),
    });
    const ofDetails = bytesOfSubject(subject.details);
    const bytes = { all: ofDetails, heap: ofDetails };
    for (const reference of subject.references) addBytes(bytes, bytesOfReference(reference, this), 1);
    this.plan({ subjectCount: 1, referenceCount: subject.references.length, bytes }, 1);
  }

  private addImage({ id, imageHash }: ReferenceEntry): void {
    if (imageHash === null) return;
    const ids = this.images.get(imageHash);
    if (ids instanceof Set) ids.add(id);
    else this.images.set(imageHash, ids === undefined ? id : new Set([ids, id]));
  }

  private removeImage({ id, imageHash }: ReferenceEntry): void {
    if (imageHash === null) return;
    const ids = this.images.get(imageHash);
    if (ids instanceof Set) ids.delete(id);
    if (ids === id || (ids instanceof Set && ids.size === 0)) this.images.delete(imageHash);
  }

  /*
   * Subjects are created under ids in Unicode's composed form (NFC) and found by any form, as keyboards and systems differ in
   * the form they produce. Ids stored in another form by an earlier version are found only by exactly that form.
   */
  private requireSubject(subjectId: string): SubjectEntry {
    const subject = this.subjects.get(subjectId) ?? this.subjects.get(subjectId.normalize());
    if (!subject) throw galleryErrors.subjectNotFound(this.id, subjectId);
    return subject;
  }

  private requireReference(subjectId: string, referenceId: string): [ReferenceEntry, SubjectEntry] {
    const subject = this.requireSubject(subjectId);
    const reference = this.references.get(referenceId);
    if (reference?.subject !== subject.number)
      throw galleryErrors.referenceNotFound(this.id, subjectId, referenceId);
    return [reference, subject];
  }

  private ownerOf(reference: ReferenceEntry | undefined): SubjectEntry | undefined {
    return reference && this.byNumber[reference.subject];
  }

  private toStored(reference: ReferenceEntry, { details }: SubjectEntry): StoredReference {
    return toStored(reference, details.id, this.index.get(reference.row));
  }

  private toHits(found: readonly IndexHit[]): Hit[] {
    return found
      .flatMap(({ row, similarity }) => {
        const reference = this.byRow[row];
        const owner = this.ownerOf(reference);
        // A store that stopped while applying a change may hold only part of it.
        return reference && owner ? [{ ...toKey(reference, owner), similarity }] : [];
      })
      .sort((a, b) => b.similarity - a.similarity || (a.subjectId < b.subjectId ? -1 : 1));
  }
}
