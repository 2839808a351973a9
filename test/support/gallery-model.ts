import { galleryErrors } from '../../src/gallery/gallery-errors';
import { subjectLimit } from '../../src/gallery/gallery-rules';
import {
  type GallerySettings,
  type Metadata,
  type MetadataFilter,
  type NewGallery,
  type NewReference,
  passesFilter,
} from '../../src/gallery/gallery.types';

interface ModelGallery {
  settings: NewGallery;
  subjects: Map<string, { metadata: Metadata; references: NewReference[] }>;
}

/** Galleries as plainly as they can be kept: what every store is held against. Times are left out. */
export class GalleryModel {
  readonly galleries = new Map<string, ModelGallery>();

  constructor(private readonly maxGalleries: number) {}

  createGallery(settings: NewGallery): object {
    if (this.galleries.has(settings.id)) throw galleryErrors.galleryExists(settings.id);
    if (this.galleries.size >= this.maxGalleries)
      throw galleryErrors.galleriesFull(settings.id, this.maxGalleries);
    this.galleries.set(settings.id, { settings, subjects: new Map() });
    return this.getGallery(settings.id);
  }

  getGallery(id: string): object {
    const { settings, subjects } = this.gallery(id);
    return { ...settings, subjectCount: subjects.size, referenceCount: this.references(id).length };
  }

  updateGallery(id: string, changes: Partial<GallerySettings>): object {
    Object.assign(this.gallery(id), { settings: { ...this.gallery(id).settings, ...changes } });
    return this.getGallery(id);
  }

  deleteGallery(id: string): object {
    const counts = {
      subjectCount: this.gallery(id).subjects.size,
      referenceCount: this.references(id).length,
    };
    this.galleries.delete(id);
    return counts;
  }

  putSubject(galleryId: string, id: string, metadata: Metadata): object {
    const { settings, subjects } = this.gallery(galleryId);
    const isNew = !subjects.has(id);
    if (isNew && subjects.size >= subjectLimit(settings))
      throw galleryErrors.subjectsFull(galleryId, subjectLimit(settings));
    subjects.set(id, { metadata, references: subjects.get(id)?.references ?? [] });
    return { subject: this.getSubject(galleryId, id), isNew };
  }

  getSubject(galleryId: string, id: string): object {
    const { metadata, references } = this.subject(galleryId, id);
    const rights = { consentRef: null, purpose: null, expiresAt: null, lastMatchedAt: null };
    return { id, metadata, ...rights, referenceCount: references.length };
  }

  listSubjects(galleryId: string, filter: MetadataFilter): object[] {
    return [...this.gallery(galleryId).subjects]
      .filter(([, subject]) => passesFilter(subject.metadata, filter))
      .map(([id]) => this.getSubject(galleryId, id));
  }

  renameSubject(galleryId: string, id: string, newId: string, merge: boolean): object {
    const { subjects, settings } = this.gallery(galleryId);
    const source = this.subject(galleryId, id);
    const target = subjects.get(newId);
    if (id === newId) return this.getSubject(galleryId, id);
    if (target && !merge) throw galleryErrors.subjectExists(galleryId, newId);
    if (target) {
      const moved = source.references.filter(
        ({ imageHash }) =>
          imageHash === null || !target.references.some((other) => other.imageHash === imageHash),
      );
      const references = [...target.references, ...moved];
      if (moved.length > 0 && references.length > settings.maxReferencesPerSubject)
        throw galleryErrors.subjectFull(galleryId, newId, settings.maxReferencesPerSubject);
      subjects.set(newId, { metadata: { ...source.metadata, ...target.metadata }, references });
    } else {
      subjects.set(newId, source);
    }
    subjects.delete(id);
    return this.getSubject(galleryId, newId);
  }

  deleteSubject(galleryId: string, id: string): object {
    const { references } = this.subject(galleryId, id);
    this.gallery(galleryId).subjects.delete(id);
    return { subjectCount: 1, referenceCount: references.length };
  }

  addReferences(galleryId: string, references: readonly NewReference[]): object[] {
    return references.map((reference) => this.addReference(galleryId, reference));
  }

  listReferences(galleryId: string, subjectId: string): object[] {
    return this.subject(galleryId, subjectId).references.map((reference) => ({
      ...answered(reference, subjectId),
      embedding: Array.from(reference.embedding),
    }));
  }

  listCrops(galleryId: string, subjectId: string): unknown[] {
    return this.subject(galleryId, subjectId).references.map(({ crop = null }) => crop);
  }

  deleteCrops(galleryId: string, subjectIds: readonly string[]): number {
    const { subjects } = this.gallery(galleryId);
    let count = 0;
    for (const id of new Set(subjectIds))
      for (const reference of subjects.get(id)?.references ?? []) {
        if (reference.crop) count++;
        reference.crop = null;
      }
    return count;
  }

  updateReference(galleryId: string, subjectId: string, id: string, metadata: Metadata): object {
    const { references } = this.subject(galleryId, subjectId);
    const at = this.indexOf(galleryId, subjectId, id);
    references[at] = { ...references[at], metadata };
    return answered(references[at], subjectId);
  }

  deleteReference(galleryId: string, subjectId: string, id: string): void {
    const { references } = this.subject(galleryId, subjectId);
    references.splice(this.indexOf(galleryId, subjectId, id), 1);
  }

  /** All subjects that pass, most similar first, with every reference that is as similar as the best. */
  search(
    galleryId: string,
    probe: Float32Array,
    filter: MetadataFilter,
  ): { subjectId: string; similarity: number; referenceIds: string[] }[] {
    const found = [...this.gallery(galleryId).subjects]
      .filter(([, subject]) => subject.references.length > 0 && passesFilter(subject.metadata, filter))
      .map(([subjectId, { references }]) => {
        const similarities = references.map((reference) => dot(probe, reference.embedding));
        const similarity = Math.max(...similarities);
        const best = references.filter((_, i) => similarities[i] === similarity);
        return { subjectId, similarity, referenceIds: best.map((reference) => reference.id) };
      });
    return found.sort((a, b) => b.similarity - a.similarity || (a.subjectId < b.subjectId ? -1 : 1));
  }

  private addReference(galleryId: string, given: NewReference): object {
    const { settings, subjects } = this.gallery(galleryId);
    const all = this.references(galleryId);
    const known =
      all.find(({ reference }) => reference.id === given.id) ??
      all.find(
        ({ reference, subjectId }) =>
          subjectId === given.subjectId &&
          given.imageHash !== null &&
          reference.imageHash === given.imageHash,
      );
    if (known)
      return {
        status: known.reference.id === given.id ? 'existing' : 'duplicate',
        ...this.added(galleryId, known.reference, known.subjectId),
      };
    if (all.length >= settings.capacity) return galleryErrors.galleryFull(galleryId, settings.capacity);
    if (!subjects.has(given.subjectId) && subjects.size >= subjectLimit(settings))
      return galleryErrors.subjectsFull(galleryId, subjectLimit(settings));
    const subject = subjects.get(given.subjectId) ?? { metadata: {}, references: [] };
    if (subject.references.length >= settings.maxReferencesPerSubject)
      return galleryErrors.subjectFull(galleryId, given.subjectId, settings.maxReferencesPerSubject);
    const kept = { ...given, crop: settings.keepCrops ? given.crop : null };
    subjects.set(given.subjectId, { ...subject, references: [...subject.references, kept] });
    return { status: 'added', ...this.added(galleryId, kept, given.subjectId) };
  }

  private added(galleryId: string, reference: NewReference, subjectId: string): object {
    const sameImage = this.references(galleryId)
      .filter(
        (other) =>
          reference.imageHash !== null &&
          other.reference.imageHash === reference.imageHash &&
          other.reference.id !== reference.id,
      )
      .map((other) => ({ subjectId: other.subjectId, referenceId: other.reference.id }));
    return { reference: answered(reference, subjectId), sameImage };
  }

  private references(galleryId: string): { subjectId: string; reference: NewReference }[] {
    return [...this.gallery(galleryId).subjects].flatMap(([subjectId, subject]) =>
      subject.references.map((reference) => ({ subjectId, reference })),
    );
  }

  private gallery(id: string): ModelGallery {
    const gallery = this.galleries.get(id);
    if (!gallery) throw galleryErrors.galleryNotFound(id);
    return gallery;
  }

  private subject(galleryId: string, id: string): { metadata: Metadata; references: NewReference[] } {
    const subject = this.gallery(galleryId).subjects.get(id);
    if (!subject) throw galleryErrors.subjectNotFound(galleryId, id);
    return subject;
  }

  private indexOf(galleryId: string, subjectId: string, id: string): number {
    const at = this.subject(galleryId, subjectId).references.findIndex((reference) => reference.id === id);
    if (at < 0) throw galleryErrors.referenceNotFound(galleryId, subjectId, id);
    return at;
  }
}

function answered({ embedding: _embedding, crop, ...reference }: NewReference, subjectId: string): object {
  return { expiresAt: null, ...reference, hasCrop: crop != null, subjectId };
}

/** To double precision, so that two are equal only where the vectors are. */
function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}
