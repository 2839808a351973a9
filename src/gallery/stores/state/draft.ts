import type { FaceError } from '../../../errors';
import { galleryErrors } from '../../gallery-errors';
import type { ReferenceEntry, ReferenceReplacement, Replacement, SubjectEntry } from './entries';
import type { GalleryState } from './gallery-state';
import { addBytes, type Bytes, type Room } from './room';
import { bytesOfReference, bytesOfSubject } from './weigh';

/** Thrown by a look at what another change of the same group replaces: this one is planned again after the group. */
export const WAITS = Symbol('waits');

/** What a group of changes has reserved: the group is made as a whole, or not at all. */
export interface Reservations {
  /** Names of what its changes replace. */
  readonly names: Set<string>;
  /** As it is once the group is made. */
  readonly room: Room;
}

/**
 * A change of one gallery: first it reserves all that can fail (names, numbers, rows, memory, limits), then it is written, then
 * {@link GalleryState.apply} puts it in the place of what was there.
 */
export class Draft {
  readonly subjects: Replacement<SubjectEntry>[] = [];
  readonly references: ReferenceReplacement[] = [];
  readonly names: string[] = [];
  /** By how much the gallery grows. */
  readonly bytes: Bytes = { all: 0, heap: 0 };
  subjectCount = 0;
  referenceCount = 0;
  private readonly numbers: number[] = [];
  private readonly rows: number[] = [];

  constructor(
    readonly state: GalleryState,
    private readonly reserved: Reservations,
    readonly nextUid: () => number,
  ) {
    this.names.push(wholeName(state));
  }

  /** By any form of its id. */
  subject(id: string): SubjectEntry | undefined {
    const subject = this.look('s', id) && this.state.findSubject(id);
    return subject ?? (this.look('s', id.normalize()) && this.state.findSubject(id.normalize()));
  }

  /** @throws {FaceError} SUBJECT_NOT_FOUND */
  requireSubject(id: string): SubjectEntry {
    const subject = this.subject(id);
    if (!subject) throw galleryErrors.subjectNotFound(this.state.id, id);
    return subject;
  }

  /** @throws {FaceError} SUBJECT_NOT_FOUND, REFERENCE_NOT_FOUND */
  requireReference(subjectId: string, id: string): { subject: SubjectEntry; reference: ReferenceEntry } {
    const subject = this.requireSubject(subjectId);
    const reference = subject.references.find((one) => one.id === id);
    if (!reference) throw galleryErrors.referenceNotFound(this.state.id, subjectId, id);
    return { subject, reference };
  }

  /** Of any subject. */
  reference(id: string): ReferenceEntry | undefined {
    return this.look('r', id) ? this.state.findReference(id) : undefined;
  }

  /** @returns what stands in the draft: another entry of the same details may still come after. */
  replaceSubject(
    before: SubjectEntry | undefined,
    after: SubjectEntry | undefined,
  ): Replacement<SubjectEntry> {
    const replacement = { before, after };
    this.subjects.push(replacement);
    this.subjectCount += Number(after !== undefined) - Number(before !== undefined);
    for (const entry of [before, after])
      if (entry) this.names.push(nameOf(this.state, 's', entry.details.id));
    if (before?.details !== after?.details)
      for (const [details, sign] of [[after?.details, 1] as const, [before?.details, -1] as const]) {
        const bytes = bytesOfSubject(details);
        addBytes(this.bytes, { all: bytes, heap: bytes }, sign);
      }
    return replacement;
  }

  replaceReference(
    before: ReferenceEntry | undefined,
    after: ReferenceEntry | undefined,
    embedding?: Float32Array,
  ): void {
    this.references.push({ before, after, embedding });
    this.referenceCount += Number(after !== undefined) - Number(before !== undefined);
    this.names.push(nameOf(this.state, 'r', (after ?? before)!.id));
    addBytes(this.bytes, bytesOfReference(after, this.state), 1);
    addBytes(this.bytes, bytesOfReference(before, this.state), -1);
  }

  /** Whether it removes or replaces anything that may have been written. */
  get takesAway(): boolean {
    const isReplaced = ({ before, after }: Replacement<SubjectEntry>) =>
      before !== undefined && before.details !== after?.details;
    return this.subjects.some(isReplaced) || this.references.some(({ before }) => before !== undefined);
  }

  /** Entries that it replaces. */
  get size(): number {
    return this.subjects.length + this.references.length;
  }

  takeNumber(): number {
    const number = this.state.takeNumber();
    this.numbers.push(number);
    return number;
  }

  /** @throws {FaceError} GALLERY_FULL where the process has no memory left for a row. */
  takeRow(): number {
    try {
      const row = this.state.takeRow();
      this.rows.push(row);
      return row;
    } catch (error) {
      throw galleryErrors.processFull(this.state.id, error);
    }
  }

  /** Why there is no room for so much more than is planned. */
  refusal(more: Bytes): FaceError | undefined {
    const { all, heap } = this.bytes;
    return this.reserved.room.refusal(this.state.id, { all: all + more.all, heap: heap + more.heap });
  }

  /** @throws {FaceError} GALLERY_FULL where all galleries have no room for what was planned. */
  checkGrowth(): void {
    const refusal = this.reserved.room.refusal(this.state.id, this.bytes);
    if (refusal) throw refusal;
  }

  /** Keeps what it took until it is applied or {@link release}d. */
  reserve(): void {
    for (const name of this.names) this.reserved.names.add(name);
    this.count(1);
  }

  /** It was not made. */
  release(): void {
    this.count(-1);
    this.discard();
  }

  /** It is not even planned. */
  discard(): void {
    for (const number of this.numbers) this.state.giveNumber(number);
    for (const row of this.rows) this.state.giveRow(row);
  }

  /** Counts it to what there will be, or no longer. */
  count(sign: 1 | -1): void {
    this.reserved.room.take(this.bytes, sign);
    this.state.plan(this, sign);
  }

  private look(kind: 's' | 'r', id: string): true {
    if (this.reserved.names.has(nameOf(this.state, kind, id))) throw WAITS;
    return true;
  }
}

/** Of a gallery that is changed, in whatever part of it: no id of a gallery has a slash. */
export function wholeName({ uid }: GalleryState): string {
  return `${uid}/`;
}

function nameOf({ uid }: GalleryState, kind: 's' | 'r', id: string): string {
  return `${uid}/${kind}/${id}`;
}
