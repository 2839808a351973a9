import type { FaceModel } from '../../src/face/face-model';
import type { EmbeddingInput } from '../../src/face/represent-input';
import { GalleryService } from '../../src/gallery/gallery.service';
import { MemoryStore } from '../../src/gallery/stores/memory-store';
import type { PhotoFaces } from './measure';
import type { Photo } from './photos';
import type { ModelSet } from './sets';

/** What became of probes, as counts. */
export interface IdentificationCounts {
  /** Probes of people who are enrolled; a photo without a face is among them. */
  known: number;
  /** Of those: the person is the nearest, whatever the distance. */
  rank1: number;
  /** Of the same, at the default threshold of the service: the right person first; another one first. */
  right: number;
  wrong: number;
  /** Probes of people who are not enrolled. */
  strangers: number;
  /** Of those, at the default threshold: somebody is named. */
  falselyNamed: number;
}

/** Galleries of one set, through the service with its defaults. Embeddings come in, made from the photos before. */
class Galleries {
  private readonly store = new MemoryStore({ threadCount: 1, precision: 'float32' });
  private readonly service: GalleryService;
  readonly counts: IdentificationCounts = {
    known: 0,
    rank1: 0,
    right: 0,
    wrong: 0,
    strangers: 0,
    falselyNamed: 0,
  };

  constructor(
    private readonly model: FaceModel,
    private readonly set: ModelSet,
    private readonly faces: PhotoFaces,
  ) {
    this.service = new GalleryService(model, this.store);
  }

  /** Makes a gallery of people, each enrolled by one photo. */
  async create(id: string, photos: readonly Photo[]): Promise<void> {
    await this.service.createGallery({ id, embedder: this.set.embedder });
    await this.enroll(id, photos);
  }

  async enroll(id: string, photos: readonly Photo[]): Promise<void> {
    const items = photos.map(({ person, path }) => {
      const input = this.input(path);
      if (input == null) throw new Error('The photo of a person who is to be enrolled has no face.');
      return { subjectId: person, input };
    });
    const results = await this.service.enroll(id, items);
    const failed = results.find((result) => result instanceof Error);
    if (failed != null) throw failed;
  }

  async remove(id: string, person: string): Promise<void> {
    await this.store.deleteSubject(id, person);
  }

  async identifyKnown(id: string, { person, path }: Photo): Promise<void> {
    const { counts } = this;
    counts.known++;
    const input = this.input(path);
    if (input == null) return;
    const nearest = await this.service.identify(id, input, { threshold: 2, limit: 1 });
    if (nearest.faces[0].candidates[0].subjectId === person) counts.rank1++;
    const [named] = (await this.service.identify(id, input)).faces[0].candidates;
    if (named?.subjectId === person) counts.right++;
    else if (named != null) counts.wrong++;
  }

  async identifyStranger(id: string, { path }: Photo): Promise<void> {
    this.counts.strangers++;
    const input = this.input(path);
    if (input == null) return;
    const { faces } = await this.service.identify(id, input);
    if (!faces[0].unknown) this.counts.falselyNamed++;
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private input(path: string): EmbeddingInput | null {
    const face = this.faces.get(path);
    return face == null
      ? null
      : { embedding: face.embedding, contract: this.model.embedder(this.set.embedder).contract };
  }
}

/**
 * Enrolls one photo of each person and identifies all other photos; as often as each has photos, with the first, second...
 * Then each person is taken out of the gallery in turn, and all the person's photos are identified among the others.
 */
export async function leaveOneOut(
  model: FaceModel,
  set: ModelSet,
  photos: readonly Photo[],
  faces: PhotoFaces,
): Promise<IdentificationCounts> {
  const galleries = new Galleries(model, set, faces);
  const people = byPerson(photos);
  for (let turn = 0; turn < people[0].length; turn++) {
    const id = `turn-${turn}`;
    await galleries.create(
      id,
      people.map((own) => own[turn]),
    );
    for (const own of people) {
      for (const photo of own.filter((_, i) => i !== turn)) await galleries.identifyKnown(id, photo);
    }
    for (const own of people) {
      await galleries.remove(id, own[turn].person);
      for (const photo of own) await galleries.identifyStranger(id, photo);
      await galleries.enroll(id, [own[turn]]);
    }
  }
  await galleries.close();
  return galleries.counts;
}

/**
 * Splits people into galleries of a size, each person enrolled by the first photo; identifies their other photos in their
 * gallery, and all photos of strangers in every gallery.
 */
export async function openSet(
  model: FaceModel,
  set: ModelSet,
  { known, strangers, size }: { known: readonly Photo[]; strangers: readonly Photo[]; size: number },
  faces: PhotoFaces,
): Promise<IdentificationCounts> {
  const galleries = new Galleries(model, set, faces);
  const people = byPerson(known);
  for (let start = 0; start < people.length; start += size) {
    const members = people.slice(start, start + size);
    const id = `from-${start}`;
    await galleries.create(
      id,
      members.map(([first]) => first),
    );
    for (const [, ...others] of members) {
      for (const photo of others) await galleries.identifyKnown(id, photo);
    }
    for (const photo of strangers) await galleries.identifyStranger(id, photo);
  }
  await galleries.close();
  return galleries.counts;
}

/** The photos of each person, in their order. */
function byPerson(photos: readonly Photo[]): Photo[][] {
  const people = [...new Set(photos.map(({ person }) => person))];
  return people.map((person) => photos.filter((photo) => photo.person === person));
}
