import { nullOn } from '../errors';
import type { GalleryStore } from './stores/gallery-store';
import type { Gallery, Subject } from './gallery.types';

const DAY_MS = 86_400_000;
/** Part of the limit by which a recorded time may lie before the true one. */
const TOLERANCE = 0.1;

/** From when on the limit of the gallery counts for a subject, milliseconds since 1970, UTC. */
export function lastMatchOf({ matchesSince }: Gallery, { createdAt, lastMatchedAt }: Subject): number {
  return Math.max(createdAt, lastMatchedAt ?? 0, matchesSince ?? 0);
}

/**
 * Keeps when subjects last matched, in galleries that forget those that do not. A match is written where the recorded one is a
 * day old, or a tenth of the limit where that is less: a subject that matches all day costs one write, and may go that much
 * earlier than the limit says, never later.
 */
export class LastMatches {
  private readonly writes = new Set<Promise<void>>();
  /** Subjects whose match is being written: a crowd of searches for one writes once. */
  private readonly writing = new Set<string>();
  private isFailing = false;

  constructor(
    private readonly store: GalleryStore,
    /** Told once when matches cannot be written, until they can again. */
    private readonly onFailure: () => void,
    /** Milliseconds since 1970, UTC. */
    private readonly now: () => number = Date.now,
  ) {}

  /** Never fails, and nothing waits for it. */
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

  /** Settles when all that was recorded so far is written. */
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
