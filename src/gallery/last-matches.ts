import { nullOn } from '../errors';
import type { GalleryStore } from './stores/gallery-store';
import type { Gallery, Subject } from './gallery.types';

const DAY_MS = 86_400_000;
/** Share of the limit by which a recorded time may precede the true one. */
const TOLERANCE = 0.1;

/** When `sinceLastMatchSeconds` of a subject starts, milliseconds since 1970, UTC. */
export function lastMatchOf({ matchesSince }: Gallery, { createdAt, lastMatchedAt }: Subject): number {
  return Math.max(createdAt, lastMatchedAt ?? 0, matchesSince ?? 0);
}

/**
 * Records when subjects last matched, in galleries with `sinceLastMatchSeconds`. A match is written only if the recorded one is
 * older than a day, or a tenth of the limit if that is less: frequent matches cost one write a day, and a subject may expire
 * that much early, never late.
 */
export class LastMatches {
  private readonly writes = new Set<Promise<void>>();
  /** Subjects whose match is being written, so that concurrent searches write it once. */
  private readonly writing = new Set<string>();
  private isFailing = false;

  constructor(
    private readonly store: GalleryStore,
    /** Called for the first failed write, and again only after a successful one. */
    private readonly onFailure: () => void,
    /** Milliseconds since 1970, UTC. */
    private readonly now: () => number = Date.now,
  ) {}

  /** Records in the background; never throws. */
  record(gallery: Gallery, subjectIds: readonly string[]): void {
    if (gallery.sinceLastMatchSeconds == null || subjectIds.length === 0) return;
    const write = this.write(gallery, gallery.sinceLastMatchSeconds * 1000, subjectIds).then(
      () => void (this.isFailing = false),
      () => {
        if (!this.isFailing) this.onFailure();
        this.isFailing = true;
      },
    );
    this.writes.add(write);
    void write.then(() => this.writes.delete(write));
  }

  /** Settles when all matches recorded so far are written. */
  async settled(): Promise<void> {
    await Promise.all(this.writes);
  }

  private async write(gallery: Gallery, limitMs: number, subjectIds: readonly string[]): Promise<void> {
    const now = this.now();
    const toleranceMs = Math.min(DAY_MS, limitMs * TOLERANCE);
    const due: string[] = [];
    for (const id of new Set(subjectIds)) {
      const key = `${gallery.id}/${id}`;
      if (this.writing.has(key)) continue;
      this.writing.add(key);
      due.push(id);
    }
    try {
      const subjects = await Promise.all(
        due.map((id) => nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(gallery.id, id))),
      );
      const late = subjects.filter(
        (subject) => subject != null && now - lastMatchOf(gallery, subject) >= toleranceMs,
      );
      if (late.length === 0) return;
      await this.store.recordMatches(
        gallery.id,
        late.map((subject) => (subject as Subject).id),
        now,
      );
    } finally {
      for (const id of due) this.writing.delete(`${gallery.id}/${id}`);
    }
  }
}
