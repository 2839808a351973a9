import type { FaceError } from '../../../errors';
import { galleryErrors } from '../../gallery-errors';
import type { ReferenceEntry, ReferenceReplacement, Replacement, SubjectEntry } from './entries';
import type { GalleryState } from './gallery-state';
import { addBytes, type Bytes, type Room } from './room';
import { bytesOfReference, bytesOfSubject } from './weigh';

/** Thrown when a plan reads an entry that another change of its group replaces; the plan runs again after the group. */
export const WAITS = Symbol('waits');

/** Reservations of a group of changes, which is applied as a whole or not at all. */
export interface Reservations {
  /** Names of the entries that its changes replace. */
  readonly names: Set<string>;
  /** Memory use as it will be once the group is applied. */
  readonly room: Room;
}

/**
 * A change of one gallery. It first reserves everything that can fail (names, numbers, rows, memory, limits), then it is
 * written, then {@link GalleryState.apply} replaces the old entries with the new ones.
 */
export class Draft {
  readonly subjects: Replacement<SubjectEntry>[] = [];
  readonly references: ReferenceReplacement[] = [];
  readonly names: string[] = [];
  /** Growth of the gallery. */
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

  /** Finds a subject by any Unicode form of its id. */
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

  /** Finds a reference of any subject. */
  reference(id: string): ReferenceEntry | undefined {
    return this.look('r', id) ? this.state.findReference(id) : undefined;
  }

  /** @returns the replacement in the draft; `after` may still be exchanged for another entry with the same details. */
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

  /** Whether the change removes or replaces an entry that may have been written. */
  get takesAway(): boolean {
    const isReplaced = ({ before, after }: Replacement<SubjectEntry>) =>
      before !== undefined && before.details !== after?.details;
    return this.subjects.some(isReplaced) || this.references.some(({ before }) => before !== undefined);
  }

  /** Number of replaced entries. */
  get size(): number {
    return this.subjects.length + this.references.length;
  }

  takeNumber(): number {
    const number = this.state.takeNumber();
    this.numbers.push(number);
    return number;
  }

  /** @throws {FaceError} GALLERY_FULL if the process has no memory left for a row. */
  takeRow(): number {
    try {
      const row = this.state.takeRow();
      this.rows.push(row);
      return row;
    } catch (error) {
      throw galleryErrors.processFull(this.state.id, error);
    }
  }

  /** Reason why the planned growth plus `more` exceeds the memory limit; `undefined` if it fits. */
  refusal(more: Bytes): FaceError | undefined {
    const { all, heap } = this.bytes;
    return this.reserved.room.refusal(this.state.id, { all: all + more.all, heap: heap + more.heap });
  }

  /** @throws {FaceError} GALLERY_FULL if the planned growth exceeds the memory limit of all galleries. */
  checkGrowth(): void {
    const refusal = this.reserved.room.refusal(this.state.id, this.bytes);
    if (refusal) throw refusal;
  }

  /** Holds the reservations until the change is applied or {@link release}d. */
  reserve(): void {
    for (const name of this.names) this.reserved.names.add(name);
    this.count(1);
  }

  /** Gives back all reservations of a change that was not made. */
  release(): void {
    this.count(-1);
    this.discard();
  }

  /** Gives back the numbers and rows of a change whose planning failed. */
  discard(): void {
    for (const number of this.numbers) this.state.giveNumber(number);
    for (const row of this.rows) this.state.giveRow(row);
  }

  /** Adds the change to the planned totals, or takes it off again (-1). */
  count(sign: 1 | -1): void {
    this.reserved.room.take(this.bytes, sign);
    this.state.plan(this, sign);
  }

  private look(kind: 's' | 'r', id: string): true {
    if (this.reserved.names.has(nameOf(this.state, kind, id))) throw WAITS;
    return true;
  }
}

/** Name that every change in a gallery reserves. It collides with no gallery id, as those have no slash. */
export function wholeName({ uid }: GalleryState): string {
  return `${uid}/`;
}

function nameOf({ uid }: GalleryState, kind: 's' | 'r', id: string): string {
  return `${uid}/${kind}/${id}`;
}
