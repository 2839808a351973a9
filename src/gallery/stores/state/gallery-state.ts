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

/** A search is made again where a row of its answer changed meanwhile, so often; then those rows are left out. */
const MAX_SEARCHES = 8;

/** What takes the place of what, as a draft has planned it. */
interface GalleryChanges {
  readonly subjects: readonly Replacement<SubjectEntry>[];
  readonly references: readonly ReferenceReplacement[];
}

/** By how much a gallery grows. */
interface Growth {
  subjectCount: number;
  referenceCount: number;
  bytes: Bytes;
}

/** What one gallery holds, in memory: plain maps, and the index of its embeddings. */
export class GalleryState {
  /** What there will be when all that is reserved is made. */
  readonly planned = { subjects: 0, references: 0, bytes: { all: 0, heap: 0 } };
  private readonly subjects = new SplitMap<string, SubjectEntry>();
  private readonly references = new SplitMap<string, ReferenceEntry>();
  /** Ids of references by the hash of their image: one, or several. */
  private readonly images = new SplitMap<string, string | Set<string>>();
  private readonly metadata = new MetadataIndex();
  private readonly list = new PagedList<SubjectEntry>();
  private readonly numbers = new NumberPool();
  private readonly byNumber: (SubjectEntry | undefined)[] = [];
  private readonly byRow: (ReferenceEntry | undefined)[] = [];
  private isClosed = false;

  readonly uid: number;
  /** Changes where the gallery takes the place of another. */
  id: string;
  /** Of every embedding, D. */
  readonly dimensions: number;
  /** Of a row of the index. */
  readonly rowBytes: number;
  /** Crops are held in memory. */
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

  /** Without embeddings; none where there is no such subject. */
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
   * Subjects as they were at the beginning, each as it is when its turn comes. A reference that moves to another subject
   * meanwhile comes with the one that has it.
   */
  *records(): Generator<GalleryRecord> {
    /** The id under which each subject was given, by its uid: its references follow under the same. */
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
        // Everything may have changed since the subject was given.
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
   * What was added, or was there already: to be asked when the change was just made.
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

  /** By exactly this id. */
  findSubject(subjectId: string): SubjectEntry | undefined {
    return this.subjects.get(subjectId);
  }

  findReference(referenceId: string): ReferenceEntry | undefined {
    return this.references.get(referenceId);
  }

  /** Float32Array [D], a copy. */
  embeddingOf({ row }: ReferenceEntry): Float32Array {
    return this.index.get(row);
  }

  /** All, as they are now. */
  entries(): Iterable<SubjectEntry> {
    return this.list.snapshot();
  }

  takeNumber(): number {
    return this.numbers.take();
  }

  giveNumber(number: number): void {
    this.numbers.give(number);
  }

  /** @throws {RangeError} where the process has no addresses left. */
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

  /** Counts what a change adds to what is planned, or takes it off again. */
  plan({ subjectCount, referenceCount, bytes }: Growth, sign: 1 | -1): void {
    this.planned.subjects += sign * subjectCount;
    this.planned.references += sign * referenceCount;
    addBytes(this.planned.bytes, bytes, sign);
  }

  /** Makes a change for which all is reserved. Nothing in it can fail. */
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

  // What comes from a medium

  /**
   * Puts a vector in the index, ahead of the entry that has it.
   *
   * @returns its row.
   */
  restoreVector(embedding: Float32Array, subject: number): number {
    return this.index.add(embedding, subject);
  }

  /** Takes the vector of an entry that stays out from the index. */
  leaveOut(row: number): void {
    this.index.remove(row);
  }

  /** A subject whose vectors are in the index. */
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
   * Subjects are made under ids in Unicode's composed form (NFC), and found by any form: the same name is typed in several. A
   * store may hold ids of an earlier version in another form; these are found by exactly that.
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
        // A store that stopped while it applied a change may have a part of it.
        return reference && owner ? [{ ...toKey(reference, owner), similarity }] : [];
      })
      .sort((a, b) => b.similarity - a.similarity || (a.subjectId < b.subjectId ? -1 : 1));
  }
}
