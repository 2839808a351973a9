import { isFaceError, nullOn } from '../errors';
import { referencesBySubject } from './gallery-calls';
import { lastMatchOf } from './last-matches';
import type { GalleryStore } from './stores/gallery-store';
import type { Gallery, Hit, Reference, SearchOptions, StoredReference, Subject } from './gallery.types';
import { Turns } from '../turns';

/** Number of subjects and references that a purge has removed; without ids. */
export interface PurgeReport {
  /** Subjects, with all their references. */
  subjectCount: number;
  /** References of subjects that stay. */
  referenceCount: number;
}

/** A search that finds expired references removes them and repeats, up to this often; then it leaves them out. */
const MAX_SEARCHES = 8;
const PAGE_SIZE = 100;
/** References that are checked, and removed together, in one turn of the event loop. */
const REFERENCES_PER_TURN = 200;

/**
 * Hides and removes expired subjects and references. Stores hold `expiresAt` and the settings of galleries; only this class
 * applies them.
 */
export class Retention {
  constructor(
    private readonly store: GalleryStore,
    /** Milliseconds since 1970, UTC. */
    private readonly now: () => number = Date.now,
    /** Called after each removal, by a purge or by a search that found something expired. */
    private readonly onPurge?: (removed: PurgeReport) => void,
  ) {}

  /** As {@link GalleryStore.search}, without expired subjects and references. */
  async search(gallery: Gallery, probes: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    for (let searches = 1; ; searches++) {
      const hits = await this.store.search(gallery.id, probes, options);
      const expired = new Set<Hit>();
      for (const hit of hits.flat()) if (await this.hasExpired(gallery, hit)) expired.add(hit);
      if (expired.size === 0) return hits;
      const isRemoved = await this.removeAll(gallery, [...expired]);
      if (searches === MAX_SEARCHES || !isRemoved) {
        return hits.map((ofProbe) => ofProbe.filter((hit) => !expired.has(hit)));
      }
    }
  }

  /** As {@link GalleryStore.listReferences}, without expired references; empty if the subject has expired. */
  async listReferences(gallery: Gallery, subjectId: string): Promise<StoredReference[]> {
    const subject = await this.store.getSubject(gallery.id, subjectId);
    if (this.hasSubjectExpired(gallery, subject)) return [];
    const references = await this.store.listReferences(gallery.id, subjectId);
    return references.filter((reference) => !this.hasReferenceExpired(gallery, reference));
  }

  /**
   * Erases all expired subjects and references, in small steps between turns of the event loop, and left-over crops in galleries
   * without `keepCrops`.
   *
   * @throws {FaceError} GALLERY_STORE_FAILED; removals made before the failure stay.
   */
  async purge(): Promise<PurgeReport> {
    const report: PurgeReport = { subjectCount: 0, referenceCount: 0 };
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listGalleries({ limit: PAGE_SIZE, after });
      for (const gallery of items) {
        await nullOn('GALLERY_NOT_FOUND', this.purgeGallery(gallery, report));
      }
      after = next;
    }
    return report;
  }

  /** Erases all crops of a gallery. */
  async eraseCrops(galleryId: string): Promise<void> {
    const turns = new Turns();
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(galleryId, { limit: PAGE_SIZE, after });
      for (const subjects of chunksOf(items)) {
        await turns.next();
        const ids = subjects.map(({ id }) => id);
        await this.store.deleteCrops(galleryId, ids);
      }
      after = next;
    }
  }

  private async purgeGallery(gallery: Gallery, report: PurgeReport): Promise<void> {
    const turns = new Turns();
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(gallery.id, { limit: PAGE_SIZE, after });
      for (const subjects of chunksOf(items)) {
        await turns.next();
        await this.purgeSubjects(gallery, subjects, report);
      }
      await turns.next();
      after = next;
    }
  }

  private async purgeSubjects(
    gallery: Gallery,
    subjects: readonly Subject[],
    report: PurgeReport,
  ): Promise<void> {
    const ids = subjects.filter(({ referenceCount }) => referenceCount > 0).map(({ id }) => id);
    const referencesOf = await referencesBySubject(this.store, gallery.id, ids);
    const removals = subjects.flatMap((subject) => {
      const references = referencesOf.get(subject.id) ?? [];
      const expired = references.filter((reference) => this.hasReferenceExpired(gallery, reference));
      const isEmpty = expired.length === references.length;
      if (this.hasSubjectExpired(gallery, subject) || (isEmpty && this.isTooOld(gallery, subject))) {
        return [this.removeSubject(gallery.id, subject.id, report)];
      }
      return expired.map(({ id }) => this.removeReference(gallery.id, subject.id, id, report));
    });
    await Promise.all(removals);
    const withCrops = gallery.keepCrops
      ? []
      : subjects.filter(({ id }) => referencesOf.get(id)?.some(({ hasCrop }) => hasCrop));
    // A failure interrupted the erasure after `keepCrops` was turned off.
    if (withCrops.length > 0)
      await this.store.deleteCrops(
        gallery.id,
        withCrops.map(({ id }) => id),
      );
  }

  private async hasExpired(gallery: Gallery, { subjectId, referenceId }: Hit): Promise<boolean> {
    const subject = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(gallery.id, subjectId));
    if (subject != null && this.hasSubjectExpired(gallery, subject)) return true;
    const reference = await nullOn(
      'SUBJECT_NOT_FOUND',
      nullOn('REFERENCE_NOT_FOUND', this.store.getReference(gallery.id, subjectId, referenceId)),
    );
    return reference != null && this.hasReferenceExpired(gallery, reference);
  }

  /** @returns false if the store cannot remove anything now. */
  private async removeAll(gallery: Gallery, hits: readonly Hit[]): Promise<boolean> {
    const report: PurgeReport = { subjectCount: 0, referenceCount: 0 };
    try {
      for (const { subjectId, referenceId } of hits) {
        const subject = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(gallery.id, subjectId));
        if (subject == null) continue;
        if (this.hasSubjectExpired(gallery, subject)) await this.removeSubject(gallery.id, subjectId, report);
        else await this.removeReference(gallery.id, subjectId, referenceId, report);
      }
      return true;
    } catch (error) {
      if (isFaceError(error, 'GALLERY_STORE_FAILED') || isFaceError(error, 'GALLERY_STORE_STOPPED'))
        return false;
      throw error;
    }
  }

  private async removeSubject(galleryId: string, subjectId: string, report: PurgeReport): Promise<void> {
    const counts = await nullOn('SUBJECT_NOT_FOUND', this.store.deleteSubject(galleryId, subjectId));
    if (counts == null) return;
    report.subjectCount++;
    this.onPurge?.({ subjectCount: 1, referenceCount: 0 });
  }

  private async removeReference(
    galleryId: string,
    subjectId: string,
    id: string,
    report: PurgeReport,
  ): Promise<void> {
    const removal = this.store.deleteReference(galleryId, subjectId, id).then(() => true);
    const isRemoved = await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', removal));
    if (isRemoved == null) return;
    report.referenceCount++;
    this.onPurge?.({ subjectCount: 0, referenceCount: 1 });
  }

  private hasSubjectExpired(gallery: Gallery, subject: Subject): boolean {
    const { sinceLastMatchSeconds: limit } = gallery;
    const isUnmatched = limit != null && lastMatchOf(gallery, subject) + limit * 1000 <= this.now();
    return isUnmatched || this.isPast(subject.expiresAt);
  }

  private hasReferenceExpired(gallery: Gallery, reference: Reference): boolean {
    return this.isPast(reference.expiresAt) || this.isTooOld(gallery, reference);
  }

  /** Not enough for a subject, which may have younger references. */
  private isTooOld(
    { maxAgeSeconds }: Gallery,
    { createdAt }: Pick<Subject | Reference, 'createdAt'>,
  ): boolean {
    return maxAgeSeconds != null && createdAt + maxAgeSeconds * 1000 <= this.now();
  }

  private isPast(expiresAt: number | null): boolean {
    return expiresAt != null && expiresAt <= this.now();
  }
}

/** Splits subjects into chunks with few references each. */
function* chunksOf(subjects: readonly Subject[]): Generator<Subject[]> {
  let chunk: Subject[] = [];
  let referenceCount = 0;
  for (const subject of subjects) {
    chunk.push(subject);
    referenceCount += subject.referenceCount;
    if (referenceCount < REFERENCES_PER_TURN) continue;
    yield chunk;
    [chunk, referenceCount] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}
