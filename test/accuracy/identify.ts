import type { FaceModel } from '../../src/face/face-model';
import { GalleryService } from '../../src/gallery/gallery.service';
import { MemoryStore } from '../../src/gallery/memory-store';
import type { EmbeddingInput } from '../../src/face/verification.service';
import type { PhotoEmbedding } from './measure';

/** What became of the probes, as fractions. */
export interface IdentificationRates {
  /** Of probes whose person is enrolled: that person is the nearest, whatever the distance. */
  rank1: number;
  /** Of the same, under the card's threshold: the right person first; another one first; unknown. */
  right: number;
  wrong: number;
  unknown: number;
  /** Of probes whose person is not enrolled, under the card's threshold: somebody is named all the same. */
  falselyNamed: number;
}

/**
 * Enrols one photo of each person and identifies all other photos; ten times, with the first, second... tenth photo of each.
 * Then each person is taken out of the gallery in turn, and all the person's photos are identified among the others.
 */
export async function identificationRates(
  model: FaceModel,
  photos: { folder: string; path: string }[],
  embeddings: Map<string, PhotoEmbedding>,
): Promise<IdentificationRates> {
  const people = [...new Set(photos.map(({ folder }) => folder))];
  const photosOf = (person: string) => photos.filter(({ folder }) => folder === person);
  const counts = { known: 0, rank1: 0, right: 0, wrong: 0, unknown: 0, strangers: 0, falselyNamed: 0 };
  const store = new MemoryStore({ threadCount: 1, precision: 'float32' });
  const service = new GalleryService(model, store);
  const input = (path: string): EmbeddingInput => {
    const embedding = embeddings.get(path);
    if (embedding == null) throw new Error(`No face was found in ${path}.`);
    return { embedding: embedding.embedding, contract: model.embedder().contract };
  };
  const identify = async (galleryId: string, path: string) => {
    const { faces } = await service.identify(galleryId, input(path), { threshold: 2, limit: 1 });
    const [nearest] = faces[0].candidates;
    return { subjectId: nearest.subjectId, isNamed: nearest.distance <= cardThreshold };
  };
  const cardThreshold = model.embedder().maxDistances.cosine as number;

  for (let turn = 0; turn < photosOf(people[0]).length; turn++) {
    const id = `turn-${turn}`;
    await service.createGallery({ id });
    const items = people.map((person) => ({ subjectId: person, input: input(photosOf(person)[turn].path) }));
    await service.enroll(id, items);
    for (const person of people) {
      for (const { path } of photosOf(person).filter((_, i) => i !== turn)) {
        const { subjectId, isNamed } = await identify(id, path);
        counts.known++;
        if (subjectId === person) counts.rank1++;
        if (!isNamed) counts.unknown++;
        else if (subjectId === person) counts.right++;
        else counts.wrong++;
      }
    }
    for (const item of items) {
      await store.deleteSubject(id, item.subjectId);
      for (const { path } of photosOf(item.subjectId)) {
        counts.strangers++;
        if ((await identify(id, path)).isNamed) counts.falselyNamed++;
      }
      await service.enroll(id, [item]);
    }
  }
  await store.close();
  return {
    rank1: counts.rank1 / counts.known,
    right: counts.right / counts.known,
    wrong: counts.wrong / counts.known,
    unknown: counts.unknown / counts.known,
    falselyNamed: counts.falselyNamed / counts.strangers,
  };
}
