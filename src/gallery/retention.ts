import { setImmediate } from 'node:timers/promises';
import { FaceError } from '../errors';
import { orNull } from './gallery-calls';
import type { GalleryStore } from './gallery-store';
import type { Hit, SearchOptions, StoredReference } from './gallery.types';

/** What a purge has removed. Holds no id. */
export interface PurgeReport {
  /** With all their references. */
  subjectCount: number;
  /** Of subjects that stay. */
  referenceCount: number;
}

/** A search that meets what has expired removes it and is made again, so often; then it is left out of the answer. */
const MAX_SEARCHES = 8;
const PAGE_SIZE = 100;
/** Milliseconds of work on the event loop between two turns. */
const TURN_MS = 5;

/**
 * Keeps what has expired from ever being found, and removes it. Stores hold `expiresAt` and do not judge it: this is the one
 * place that does.
 */
export class Retention {
  constructor(
    private readonly store: GalleryStore,
    /** Milliseconds since 1970, UTC. */
    private readonly now: () => number = Date.now,
  ) {}

  /** As {@link GalleryStore.search}, without what has expired. */
  async search(galleryId: string, probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    for (let searches = 1; ; searches++) {
      const hits = await this.store.search(galleryId, probes, options);
      const expired = new Set<Hit>();
      for (const hit of hits.flat()) if (await this.hasExpired(galleryId, hit)) expired.add(hit);
      if (expired.size === 0) return hits;
      const isRemoved = await this.removeAll(galleryId, [...expired]);
      if (searches === MAX_SEARCHES || !isRemoved) {
        return hits.map((ofProbe) => ofProbe.filter((hit) => !expired.has(hit)));
      }
    }
  }

  /** As {@link GalleryStore.listReferences}, without what has expired: none where the subject has. */
  async listReferences(galleryId: string, subjectId: string): Promise<StoredReference[]> {
    const { expiresAt } = await this.store.getSubject(galleryId, subjectId);
    if (this.isPast(expiresAt)) return [];
    const references = await this.store.listReferences(galleryId, subjectId);
    return references.filter((reference) => !this.isPast(reference.expiresAt));
  }

  /**
   * Removes all that has expired, for good, a little in each turn of the event loop.
   *
   * @throws {FaceError} GALLERY_STORE_FAILED; what was removed before stays removed.
   */
  async purge(): Promise<PurgeReport> {
    const report: PurgeReport = { subjectCount: 0, referenceCount: 0 };
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listGalleries({ limit: PAGE_SIZE, after });
      for (const { id } of items) await orNull('GALLERY_NOT_FOUND', this.purgeGallery(id, report));
      after = next;
    }
    return report;
  }

  private async purgeGallery(galleryId: string, report: PurgeReport): Promise<void> {
    let turnBegan = performance.now();
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(galleryId, { limit: PAGE_SIZE, after });
      for (const { id, expiresAt, referenceCount } of items) {
        if (this.isPast(expiresAt)) {
          if (await this.removeSubject(galleryId, id)) report.subjectCount++;
        } else if (referenceCount > 0) {
          report.referenceCount += await this.purgeSubject(galleryId, id);
        }
        if (performance.now() - turnBegan < TURN_MS) continue;
        await setImmediate();
        turnBegan = performance.now();
      }
      after = next;
    }
  }

  /** @returns how many references were removed. */
  private async purgeSubject(galleryId: string, subjectId: string): Promise<number> {
    const references = await orNull('SUBJECT_NOT_FOUND', this.store.listReferences(galleryId, subjectId));
    const expired = (references ?? []).filter(({ expiresAt }) => this.isPast(expiresAt));
    const removed = await Promise.all(
      expired.map(({ id }) => this.removeReference(galleryId, subjectId, id)),
    );
    return removed.filter((isRemoved) => isRemoved).length;
  }

  private async hasExpired(galleryId: string, { subjectId, referenceId }: Hit): Promise<boolean> {
    const subject = await orNull('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, subjectId));
    if (subject != null && this.isPast(subject.expiresAt)) return true;
    const reference = await orNull(
      'SUBJECT_NOT_FOUND',
      orNull('REFERENCE_NOT_FOUND', this.store.getReference(galleryId, subjectId, referenceId)),
    );
    return reference != null && this.isPast(reference.expiresAt);
  }

  /** @returns false where the store cannot remove anything now. */
  private async removeAll(galleryId: string, hits: readonly Hit[]): Promise<boolean> {
    try {
      for (const { subjectId, referenceId } of hits) {
        const subject = await orNull('SUBJECT_NOT_FOUND', this.store.getSubject(galleryId, subjectId));
        if (subject == null) continue;
        if (this.isPast(subject.expiresAt)) await this.removeSubject(galleryId, subjectId);
        else await this.removeReference(galleryId, subjectId, referenceId);
      }
      return true;
    } catch (error) {
      if (error instanceof FaceError && error.code === 'GALLERY_STORE_FAILED') return false;
      throw error;
    }
  }

  private async removeSubject(galleryId: string, subjectId: string): Promise<boolean> {
    const removal = this.store.deleteSubject(galleryId, subjectId).then(() => true);
    return (await orNull('SUBJECT_NOT_FOUND', removal)) ?? false;
  }

  private async removeReference(galleryId: string, subjectId: string, id: string): Promise<boolean> {
    const removal = this.store.deleteReference(galleryId, subjectId, id).then(() => true);
    return (await orNull('SUBJECT_NOT_FOUND', orNull('REFERENCE_NOT_FOUND', removal))) ?? false;
  }

  private isPast(expiresAt: number | null): boolean {
    return expiresAt != null && expiresAt <= this.now();
  }
}
