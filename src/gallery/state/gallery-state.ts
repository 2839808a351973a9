import { setImmediate } from 'node:timers/promises';
import type { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import type {
  AddedReference,
  DeletionCounts,
  GalleryRecord,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  NewReference,
  Page,
  PageRequest,
  Reference,
  ReferenceKey,
  ReferenceRights,
  SearchOptions,
  StoredReference,
  Subject,
  SubjectRights,
} from '../gallery.types';
import type { IndexHit, VectorIndex } from '../index/vector-index';
import { MAX_SAME_IMAGE, mergedRights } from '../gallery-rules';
import { compileFilter } from './compile-filter';
import {
  type ReferenceEntry,
  type RestoredReference,
  type RestoredSubject,
  type SubjectEntry,
  toReference,
  toStored,
  toSubject,
} from './entries';
import { LayeredMap } from './layered-map';
import { NumberPool } from './number-pool';
import { PagedList } from './paged-list';
import type { Plan } from './plan';
import { Turns } from '../turns';

/** A search whose answer names a row that changed meanwhile is made again, so often; then those hits are left out. */
const MAX_SEARCHES = 8;

const SUBJECTS_PER_LOOK_AT_THE_CLOCK = 256;

/** Subjects that are put together between two turns of the event loop. */
const SUBJECTS_PER_TURN = 2000;

export interface GalleryIdentity {
  uid: number;
  id: string;
  /** D */
  dimensions: number;
}

/** What a plan does with a reference that is to be added. */
export interface AddOutcome {
  status: AddedReference['status'];
  /** The one that will be there. */
  entry: ReferenceEntry;
}

/**
 * What one gallery holds, in memory. Reads answer with what has settled. Changes are planned against what will be when all
 * plans before them have settled, and are told to a {@link Plan}.
 */
export class GalleryState {
  private readonly subjects = new LayeredMap<SubjectEntry>();
  private readonly references = new LayeredMap<ReferenceEntry>();
  /** Ids of the references by the hash of their image, as they have settled: one, or several. */
  private readonly images = new Map<string, string | Set<string>>();
  private readonly list = new PagedList<SubjectEntry>();
  private readonly numbers = new NumberPool();
  private readonly byNumber: (SubjectEntry | undefined)[] = [];
  private readonly byRow: (ReferenceEntry | undefined)[] = [];
  /** By subject number, while the medium is read. */
  private restoring: ReferenceEntry[][] = [];
  /** For each search under way: rows that changed since it began. */
  private readonly searches = new Set<Set<number>>();
  private isClosed = false;

  /** @param nextUid - gives the uids of what is made. */
  constructor(
    private readonly identity: GalleryIdentity,
    private readonly index: VectorIndex,
    private readonly nextUid: () => number,
  ) {}

  get subjectCount(): number {
    return this.subjects.size;
  }

  get referenceCount(): number {
    return this.references.size;
  }

  /** As many as there will be. */
  get plannedReferenceCount(): number {
    return this.references.plannedSize;
  }

  // Reads

  getSubject(subjectId: string): Subject {
    return toSubject(this.settledSubject(subjectId));
  }

  listSubjects({ filter, ...page }: PageRequest & { filter?: MetadataFilter }): Promise<Page<Subject>> {
    const passes = filter && compileFilter(filter);
    return this.list.page(page, toSubject, passes && ((subject) => passes(subject.metadata)));
  }

  getReference(subjectId: string, referenceId: string): StoredReference {
    const subject = this.settledSubject(subjectId);
    const reference = this.references.get(referenceId);
    if (reference?.subject !== subject.number) throw this.referenceNotFound(subjectId, referenceId);
    return toStored(reference, subject.id, this.index.get(reference.row));
  }

  listReferences(subjectId: string): StoredReference[] {
    const subject = this.settledSubject(subjectId);
    return subject.references.map((id) => {
      const reference = this.references.get(id)!;
      return toStored(reference, subject.id, this.index.get(reference.row));
    });
  }

  /** Without embeddings; none where there is no such subject. */
  describeReferences(subjectId: string): Reference[] {
    const subject = this.subjects.get(this.settledId(subjectId));
    if (!subject) return [];
    return subject.references.map((id) => toReference(this.references.get(id)!, subject.id));
  }

  async search(probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    const { id, dimensions } = this.identity;
    for (const probe of probes)
      if (probe.length !== dimensions) throw galleryErrors.wrongLength(dimensions, probe.length);
    const passes = options.filter && compileFilter(options.filter);
    for (let searches = 1; ; searches++) {
      const changedRows = new Set<number>();
      this.searches.add(changedRows);
      try {
        const found = await this.index.search(probes, {
          limit: options.limit,
          minSimilarity: options.minSimilarity,
          subjects: passes && (await this.subjectsThat(passes)),
        });
        if (this.isClosed) throw galleryErrors.galleryNotFound(id);
        const isStale = (hit: IndexHit) => changedRows.has(hit.row);
        if (searches < MAX_SEARCHES && found.some((hits) => hits.some(isStale))) continue;
        return found.map((hits) => this.toHits(hits.filter((hit) => !isStale(hit))).slice(0, options.limit));
      } catch (error) {
        if (this.isClosed) throw galleryErrors.galleryNotFound(id);
        throw galleryErrors.storeFailed(error);
      } finally {
        this.searches.delete(changedRows);
      }
    }
  }

  /**
   * Subjects as they were at the beginning, each as it is when its turn comes. A reference that moves to another subject
   * meanwhile comes with the one that has it.
   */
  *records(): Generator<GalleryRecord> {
    /** The id under which each subject was given, by its uid: its references follow under the same. */
    const given = new Map<number, string>();
    for (const old of this.list.toArray()) {
      const subject = this.list.get(old.uid);
      if (subject && !given.has(subject.uid)) {
        given.set(subject.uid, subject.id);
        yield { kind: 'subject', subject: toSubject(subject) };
      }
      for (const id of old.references) {
        const reference = this.references.get(id);
        const owner = reference && this.byNumber[reference.subject];
        if (!reference || !owner) continue;
        if (!given.has(owner.uid)) {
          given.set(owner.uid, owner.id);
          yield { kind: 'subject', subject: toSubject(owner) };
        }
        // Everything may have changed since the subject was given.
        if (this.isClosed) throw galleryErrors.galleryNotFound(this.identity.id);
        const now = this.references.get(id);
        if (now && this.byNumber[now.subject]?.uid === owner.uid)
          yield {
            kind: 'reference',
            reference: toStored(now, given.get(owner.uid)!, this.index.get(now.row)),
          };
      }
    }
  }

  // Changes

  putSubject(
    plan: Plan,
    subjectId: string,
    metadata: Metadata,
    rights: Partial<SubjectRights>,
  ): { isNew: boolean } {
    const old = this.subjects.getPlanned(this.plannedId(subjectId));
    if (old) this.replaceSubject(plan, old, { ...rights, metadata, updatedAt: Date.now() });
    else this.makeSubject(plan, subjectId.normalize(), metadata, rights);
    return { isNew: !old };
  }

  recordMatches(plan: Plan, subjectIds: readonly string[], matchedAt: number): void {
    for (const id of new Set(subjectIds)) {
      const subject = this.subjects.getPlanned(id);
      if (subject == null || (subject.lastMatchedAt ?? 0) >= matchedAt) continue;
      this.replaceSubject(plan, subject, { lastMatchedAt: matchedAt });
    }
  }

  renameSubject(
    plan: Plan,
    subjectId: string,
    newSubjectId: string,
    options: { merge: boolean; maxReferencesPerSubject: number },
  ): void {
    const source = this.plannedSubject(subjectId);
    const newId = this.plannedId(newSubjectId);
    if (newId === source.id) return;
    const target = this.subjects.getPlanned(newId);
    if (!target) {
      plan.set(this.subjects, source.id, undefined);
      this.replaceSubject(plan, source, { id: newId, updatedAt: Date.now() });
    } else if (options.merge) {
      this.mergeSubjects(plan, source, target, options.maxReferencesPerSubject);
    } else {
      throw galleryErrors.subjectExists(this.identity.id, newId);
    }
  }

  /** @returns how many the plan removes. */
  deleteSubject(plan: Plan, subjectId: string): DeletionCounts {
    const subject = this.plannedSubject(subjectId);
    for (const id of subject.references) this.dropReference(plan, this.references.getPlanned(id)!);
    this.dropSubject(plan, subject);
    return { subjectCount: 1, referenceCount: subject.references.length };
  }

  /**
   * @param refusal - of the store, asked where the gallery itself takes the reference.
   * @returns what to answer once the plan has settled, or why the reference is refused.
   */
  addReference(
    plan: Plan,
    given: NewReference,
    settings: Pick<GallerySettings, 'capacity' | 'maxReferencesPerSubject'>,
    refusal: () => FaceError | undefined,
  ): AddOutcome | FaceError {
    const { id: galleryId, dimensions } = this.identity;
    const { capacity, maxReferencesPerSubject } = settings;
    if (given.embedding.length !== dimensions)
      return galleryErrors.wrongLength(dimensions, given.embedding.length);
    const existing = this.references.getPlanned(given.id);
    if (existing) return { status: 'existing', entry: existing };
    const subject = this.subjects.getPlanned(this.plannedId(given.subjectId));
    const duplicate = subject && this.sameImageOf(subject, given.imageHash);
    if (duplicate) return { status: 'duplicate', entry: duplicate };
    if (this.references.plannedSize >= capacity) return galleryErrors.galleryFull(galleryId, capacity);
    if ((subject?.references.length ?? 0) >= maxReferencesPerSubject)
      return galleryErrors.subjectFull(galleryId, given.subjectId, maxReferencesPerSubject);
    const refused = refusal();
    if (refused) return refused;

    const owner = subject ?? this.makeSubject(plan, given.subjectId.normalize(), {});
    const { id, metadata, quality, imageHash, expiresAt = null } = given;
    const entry = this.writeReference(plan, owner.uid, given.embedding.slice(), (record) => ({
      uid: this.nextUid(),
      record,
      subject: owner.number,
      id,
      metadata,
      quality,
      imageHash,
      expiresAt,
      createdAt: Date.now(),
    }));
    this.setSubject(plan, { ...owner, references: [...owner.references, id] });
    plan.set(this.references, id, entry);
    plan.afterwards(() => {
      this.addImage(entry);
      const row = this.index.add(entry.pending!, entry.subject);
      this.setRow(row, entry);
    });
    return { status: 'added', entry };
  }

  /** What was added, or was there already: right when the plan that asked has just settled. */
  toAdded({ status, entry: { id } }: AddOutcome): AddedReference {
    const entry = this.references.get(id)!;
    const ids = entry.imageHash === null ? undefined : this.images.get(entry.imageHash);
    const sameImage: ReferenceKey[] = [];
    if (ids instanceof Set) {
      for (const other of ids) {
        if (sameImage.length === MAX_SAME_IMAGE) break;
        if (other !== id) sameImage.push(this.keyOf(other));
      }
    }
    return {
      status,
      reference: toReference(entry, this.subjectIdOf(entry)),
      sameImage,
    };
  }

  updateReference(
    plan: Plan,
    subjectId: string,
    referenceId: string,
    changes: { metadata: Metadata } & Partial<ReferenceRights>,
  ): void {
    const { subject, reference } = this.plannedReference(subjectId, referenceId);
    this.replaceReference(plan, subject, reference, changes);
  }

  deleteReference(plan: Plan, subjectId: string, referenceId: string): void {
    const { subject, reference } = this.plannedReference(subjectId, referenceId);
    this.setSubject(plan, { ...subject, references: subject.references.filter((id) => id !== referenceId) });
    this.dropReference(plan, reference);
  }

  /**
   * All records of the gallery go; the index is freed by {@link close}.
   *
   * @returns how many the plan removes.
   */
  eraseAll(plan: Plan): DeletionCounts {
    const counts = { subjectCount: 0, referenceCount: 0 };
    for (const subject of this.subjects.plannedValues()) {
      plan.erase(subject.record);
      counts.subjectCount++;
    }
    for (const reference of this.references.plannedValues()) {
      plan.erase(reference.record);
      counts.referenceCount++;
    }
    return counts;
  }

  /** Frees the index. Searches under way fail with GALLERY_NOT_FOUND. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.index.close();
  }

  // What comes from the medium

  /**
   * Takes over a subject, before its references.
   *
   * @returns its number.
   */
  restoreSubject(record: number, { galleryUid: _, ...restored }: RestoredSubject): number {
    const number = this.numbers.take();
    this.byNumber[number] = { ...restored, record, number, references: [] };
    return number;
  }

  /**
   * In any order; {@link restored} brings them into theirs.
   *
   * @param subject - number of its subject.
   */
  restoreReference(record: number, subject: number, stored: RestoredReference): void {
    const { uid, id, metadata, quality, imageHash, expiresAt, createdAt, embedding } = stored;
    const row = this.index.add(embedding, subject);
    const pending = undefined;
    const entry: ReferenceEntry = {
      uid,
      record,
      subject,
      id,
      metadata,
      quality,
      imageHash,
      expiresAt,
      createdAt,
      row,
      pending,
    };
    this.byRow[row] = entry;
    (this.restoring[subject] ??= []).push(entry);
  }

  /**
   * All is there. Of two records with one id the newer counts: the older was set aside as damaged when the other was made, and has
   * come back.
   *
   * @returns numbers of the records that made way.
   */
  async restored(): Promise<number[]> {
    const subjects = this.byNumber.filter((subject) => subject !== undefined);
    subjects.sort((a, b) => a.uid - b.uid);
    const older: number[] = [];
    for (const [i, subject] of subjects.entries()) {
      const other = this.subjects.get(subject.id);
      if (other) older.push(...this.leaveOutSubject(other));
      this.subjects.restore(subject.id, subject);
      for (const reference of this.restoring[subject.number] ?? []) {
        const out = this.keepNewer(reference);
        if (out) older.push(out.record);
      }
      if (i % SUBJECTS_PER_TURN === SUBJECTS_PER_TURN - 1) await setImmediate();
    }
    for (const [i, { number, id }] of subjects.entries()) {
      const restored = this.byNumber[number];
      if (restored?.id !== id) continue;
      const references = this.keptOf(restored).sort((a, b) => a.uid - b.uid);
      const subject: SubjectEntry = { ...restored, references: references.map((entry) => entry.id) };
      this.subjects.restore(id, subject);
      this.byNumber[number] = subject;
      this.list.set(subject);
      for (const reference of references) this.addImage(reference);
      if (i % SUBJECTS_PER_TURN === SUBJECTS_PER_TURN - 1) await setImmediate();
    }
    this.restoring = [];
    return older;
  }

  /** @returns the one that made way: a reference of the same id, or the reference itself. */
  private keepNewer(reference: ReferenceEntry): ReferenceEntry | undefined {
    const other = this.references.get(reference.id);
    if (other && other.uid > reference.uid) return this.leaveOut(reference);
    this.references.restore(reference.id, reference);
    return other && this.leaveOut(other);
  }

  private leaveOut(reference: ReferenceEntry): ReferenceEntry {
    const { id, row } = reference;
    this.index.remove(row);
    this.byRow[row] = undefined;
    if (this.references.get(id) === reference) this.references.restore(id, undefined);
    return reference;
  }

  /** @returns numbers of the records that are left out. */
  private leaveOutSubject(subject: SubjectEntry): number[] {
    const references = this.keptOf(subject).map((reference) => this.leaveOut(reference));
    this.byNumber[subject.number] = undefined;
    this.numbers.give(subject.number);
    return [subject.record, ...references.map(({ record }) => record)];
  }

  /** References that were read for a subject, without those that made way. */
  private keptOf({ number }: SubjectEntry): ReferenceEntry[] {
    return (this.restoring[number] ?? []).filter((entry) => this.byRow[entry.row] === entry);
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

  private settledId(subjectId: string): string {
    return this.subjects.get(subjectId) ? subjectId : subjectId.normalize();
  }

  private plannedId(subjectId: string): string {
    return this.subjects.getPlanned(subjectId) ? subjectId : subjectId.normalize();
  }

  // Parts of reads

  private settledSubject(subjectId: string): SubjectEntry {
    const subject = this.subjects.get(this.settledId(subjectId));
    if (!subject) throw galleryErrors.subjectNotFound(this.identity.id, subjectId);
    return subject;
  }

  private referenceNotFound(subjectId: string, referenceId: string): FaceError {
    return galleryErrors.referenceNotFound(this.identity.id, subjectId, referenceId);
  }

  private subjectIdOf(reference: ReferenceEntry): string {
    return this.byNumber[reference.subject]!.id;
  }

  private keyOf(referenceId: string): ReferenceKey {
    return { subjectId: this.subjectIdOf(this.references.get(referenceId)!), referenceId };
  }

  /** Mask by subject number, made in several turns of the event loop: each subject counts as it is when its turn comes. */
  private async subjectsThat(passes: (metadata: Metadata) => boolean): Promise<Uint8Array> {
    const mask = new Uint8Array(this.numbers.bound);
    const turns = new Turns();
    for (let number = 0; number < mask.length; number++) {
      if (number % SUBJECTS_PER_LOOK_AT_THE_CLOCK === 0) await turns.next();
      const subject = this.byNumber[number];
      if (subject && passes(subject.metadata)) mask[number] = 1;
    }
    return mask;
  }

  private toHits(found: readonly IndexHit[]): Hit[] {
    return found
      .map(({ row, similarity }) => {
        const reference = this.byRow[row]!;
        return { subjectId: this.subjectIdOf(reference), referenceId: reference.id, similarity };
      })
      .sort((a, b) => b.similarity - a.similarity || (a.subjectId < b.subjectId ? -1 : 1));
  }

  // Parts of changes

  private plannedSubject(subjectId: string): SubjectEntry {
    const subject = this.subjects.getPlanned(this.plannedId(subjectId));
    if (!subject) throw galleryErrors.subjectNotFound(this.identity.id, subjectId);
    return subject;
  }

  private plannedReference(
    subjectId: string,
    referenceId: string,
  ): { subject: SubjectEntry; reference: ReferenceEntry } {
    const subject = this.plannedSubject(subjectId);
    const reference = this.references.getPlanned(referenceId);
    if (reference?.subject !== subject.number) throw this.referenceNotFound(subjectId, referenceId);
    return { subject, reference };
  }

  /** The reference of the image that the subject has or will have. */
  private sameImageOf(subject: SubjectEntry, imageHash: string | null): ReferenceEntry | undefined {
    if (imageHash === null) return undefined;
    // It has few: looking at each costs less than another map.
    for (const id of subject.references) {
      const reference = this.references.getPlanned(id)!;
      if (reference.imageHash === imageHash) return reference;
    }
    return undefined;
  }

  private makeSubject(
    plan: Plan,
    id: string,
    metadata: Metadata,
    rights: Partial<SubjectRights> = {},
  ): SubjectEntry {
    const now = Date.now();
    const subject = this.writeSubject(plan, (record) => ({
      uid: this.nextUid(),
      record,
      number: plan.take(this.numbers),
      id,
      metadata,
      consentRef: null,
      purpose: null,
      expiresAt: null,
      ...rights,
      lastMatchedAt: null,
      createdAt: now,
      updatedAt: now,
      references: [],
    }));
    this.setSubject(plan, subject);
    return subject;
  }

  private replaceSubject(plan: Plan, old: SubjectEntry, changes: Partial<SubjectEntry>): void {
    plan.erase(old.record);
    this.setSubject(
      plan,
      this.writeSubject(plan, (record) => ({ ...old, ...changes, record })),
    );
  }

  private writeSubject(plan: Plan, make: (record: number) => SubjectEntry): SubjectEntry {
    return plan.write(make, (subject) => ({ kind: 'subject', galleryUid: this.identity.uid, subject }));
  }

  private setSubject(plan: Plan, subject: SubjectEntry): void {
    plan.set(this.subjects, subject.id, subject);
    plan.afterwards(() => {
      this.byNumber[subject.number] = subject;
      this.list.set(subject);
    });
  }

  /** Its references are dropped or moved by whoever calls. */
  private dropSubject(plan: Plan, subject: SubjectEntry): void {
    plan.erase(subject.record);
    plan.set(this.subjects, subject.id, undefined);
    plan.afterwards(() => {
      this.byNumber[subject.number] = undefined;
      this.list.delete(subject.uid);
      this.numbers.give(subject.number);
    });
  }

  private mergeSubjects(plan: Plan, source: SubjectEntry, target: SubjectEntry, maxReferences: number): void {
    const references = source.references.map((id) => this.references.getPlanned(id)!);
    const images = new Set(target.references.map((id) => this.references.getPlanned(id)!.imageHash));
    const isThere = ({ imageHash }: ReferenceEntry) => imageHash !== null && images.has(imageHash);
    const [moved, dropped] = [references.filter((one) => !isThere(one)), references.filter(isThere)];
    if (moved.length > 0 && target.references.length + moved.length > maxReferences)
      throw galleryErrors.subjectFull(this.identity.id, target.id, maxReferences);
    for (const reference of dropped) this.dropReference(plan, reference);
    for (const reference of moved)
      this.replaceReference(plan, target, reference, { uid: this.nextUid(), subject: target.number });
    this.dropSubject(plan, source);
    this.replaceSubject(plan, target, {
      metadata: { ...source.metadata, ...target.metadata },
      ...mergedRights(source, target),
      updatedAt: Date.now(),
      references: [...target.references, ...moved.map((reference) => reference.id)],
    });
  }

  private writeReference(
    plan: Plan,
    subjectUid: number,
    embedding: Float32Array,
    make: (record: number) => Omit<ReferenceEntry, 'row' | 'pending'>,
  ): ReferenceEntry {
    return plan.write(
      (record): ReferenceEntry => ({ ...make(record), row: -1, pending: embedding }),
      (reference) => ({ kind: 'reference', subjectUid, reference, embedding }),
    );
  }

  private replaceReference(
    plan: Plan,
    owner: SubjectEntry,
    old: ReferenceEntry,
    changes: Partial<ReferenceEntry>,
  ): void {
    plan.erase(old.record);
    const embedding = old.pending ?? this.index.get(old.row);
    const entry = this.writeReference(plan, owner.uid, embedding, (record) => ({
      ...old,
      ...changes,
      record,
    }));
    plan.set(this.references, entry.id, entry);
    plan.afterwards(() => {
      if (entry.subject !== old.subject) this.index.setSubject(old.row, entry.subject);
      this.setRow(old.row, entry);
    });
  }

  private dropReference(plan: Plan, reference: ReferenceEntry): void {
    plan.erase(reference.record);
    plan.set(this.references, reference.id, undefined);
    plan.afterwards(() => {
      this.removeImage(reference);
      this.index.remove(reference.row);
      this.touchRow(reference.row);
      this.byRow[reference.row] = undefined;
    });
  }

  /** The entry has settled in this row. */
  private setRow(row: number, entry: ReferenceEntry): void {
    entry.row = row;
    entry.pending = undefined;
    this.byRow[row] = entry;
    this.touchRow(row);
  }

  private touchRow(row: number): void {
    for (const changedRows of this.searches) changedRows.add(row);
  }
}
