import { Turns } from '../../../turns';
import { makeDetails, makeReference, type ReferenceEntry, type SubjectDetails } from './entries';
import type { GalleryState } from './gallery-state';

/** A subject whose references may still follow. */
export interface RestoredSubject {
  readonly details: SubjectDetails;
  readonly number: number;
  references: ReferenceEntry[];
}

/** Fills a gallery with entries from a medium. Subjects must precede their references; otherwise any order will do. */
export class RestoreGallery {
  private readonly subjects: RestoredSubject[] = [];
  /** Records superseded by newer ones. */
  private readonly older: { record?: number }[] = [];

  constructor(readonly state: GalleryState) {}

  addSubject(details: SubjectDetails): RestoredSubject {
    const subject = { details: makeDetails(details), number: this.state.takeNumber(), references: [] };
    this.subjects.push(subject);
    return subject;
  }

  /** @param embedding - Float32Array [D]. Copied. */
  addReference(
    subject: RestoredSubject,
    reference: Omit<ReferenceEntry, 'subject' | 'row'>,
    embedding: Float32Array,
  ): void {
    const row = this.state.restoreVector(embedding, subject.number);
    subject.references.push(makeReference({ ...reference, subject: subject.number, row }));
  }

  /**
   * Completes the gallery. Of two records with the same id the newer wins: the older one was set aside as damaged when the
   * newer one was created, and has become readable again.
   *
   * @returns the superseded records.
   */
  async finish(): Promise<{ record?: number }[]> {
    this.subjects.sort((a, b) => a.details.uid - b.details.uid);
    const turns = new Turns();
    const newest = new Map<string, RestoredSubject>();
    const references = new Map<string, ReferenceEntry>();
    for (const subject of this.subjects) {
      const other = newest.get(subject.details.id);
      if (other) this.leaveOutSubject(other);
      newest.set(subject.details.id, subject);
      await turns.next();
    }
    for (const subject of newest.values()) {
      for (const reference of subject.references) {
        const other = references.get(reference.id);
        const isNewer = !other || other.uid < reference.uid;
        if (isNewer) references.set(reference.id, reference);
        if (other) this.leaveOut(isNewer ? other : reference);
      }
      await turns.next();
    }
    for (const subject of this.subjects) {
      if (newest.get(subject.details.id) !== subject) continue;
      const kept = subject.references.filter((one) => references.get(one.id) === one);
      // Copied, as a filtered array would hold room for sixteen more.
      this.state.restore({ ...subject, references: kept.toSorted((a, b) => a.uid - b.uid) });
      await turns.next();
    }
    return this.older;
  }

  private leaveOutSubject({ details, number, references }: RestoredSubject): void {
    this.older.push(details);
    for (const reference of references) this.leaveOut(reference);
    this.state.giveNumber(number);
  }

  private leaveOut(reference: ReferenceEntry): void {
    this.older.push(reference);
    if (reference.crop) this.older.push(reference.crop);
    this.state.leaveOut(reference.row);
  }
}
