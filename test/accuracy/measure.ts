import { readFileSync } from 'node:fs';
import { FaceError } from '../../src/errors';
import type { FaceModel } from '../../src/face/face-model';
import type { EmbeddingInput } from '../../src/face/represent-input';
import { VerificationService } from '../../src/face/verification.service';
import { compareEmbeddings, type NormedEmbedding } from '../../src/pipeline/embed/compare-embeddings';
import type { FaceDetection, Metric, PixelQuality } from '../../src/pipeline/face.types';
import type { Edit } from './edits';
import type { ScoredPairs } from './error-rates';
import type { Photo, PhotoSet } from './photos';
import { type ModelSet, PLACING_SET, setName } from './sets';

/** The largest face of a photo, embedded. */
export interface PhotoFace extends NormedEmbedding {
  detection: FaceDetection;
  /** Measured on untouched photos. */
  quality: PixelQuality | null;
  /** Faces found in the photo. */
  faceCount: number;
}

/** By the path of the photo; `null` where no face was found, or none that is aligned. */
export type PhotoFaces = ReadonlyMap<string, PhotoFace | null>;

/** The same of a whole set of photos. */
export interface SetFaces extends PhotoFaces {
  /** Photos with a face that was found, and not embedded because it is not plausibly aligned. */
  readonly unalignedCount: number;
}

/** Photos that are edited and represented at a time: enough for every worker, few enough to hold in memory. */
const LANES = 8;

/** Faces of photos by set and edit: each photo is edited once and represented once by a set. */
export class Measurements {
  private readonly verification: VerificationService;
  private readonly edited = new Map<string, Promise<Buffer>>();
  private readonly represented = new Map<string, Promise<SetFaces>>();

  constructor(readonly model: FaceModel) {
    this.verification = new VerificationService(model);
  }

  /** The largest face of every photo, with the set, as it is or edited. */
  faces(set: ModelSet, photoSet: PhotoSet, edit?: Edit): Promise<SetFaces> {
    return remember(this.represented, `${setName(set)}, ${photoSet.name}, ${edit?.name ?? ''}`, async () => {
      const untouched = edit == null ? null : await this.faces(PLACING_SET, photoSet);
      let unalignedCount = 0;
      const faces = await inParallel(photoSet.photos, async ({ path }) => {
        const onUnaligned = () => unalignedCount++;
        if (edit == null) return this.represent(set, readFileSync(path), true, onUnaligned);
        const face = untouched?.get(path);
        if (face == null) return null;
        const photo = await remember(this.edited, `${path}, ${edit.name}`, () =>
          edit.apply(readFileSync(path), face.detection),
        );
        return this.represent(set, photo, false, onUnaligned);
      });
      return Object.assign(new Map(photoSet.photos.map(({ path }, i) => [path, faces[i]])), {
        unalignedCount,
      });
    });
  }

  /** The default of the service: largest distance that verifies, inclusive; `null` where the metric has none. */
  async threshold(set: ModelSet, metric: Metric = 'cosine'): Promise<number | null> {
    const { contract, dimensions } = this.model.embedder(set.embedder);
    const embedding = Float32Array.from({ length: dimensions }, (_, i) => (i === 0 ? 1 : 0));
    const input: EmbeddingInput = { embedding, contract };
    try {
      const options = { embedder: set.embedder, metric };
      return (await this.verification.verify(input, input, options)).threshold;
    } catch (error) {
      if (error instanceof FaceError && error.code === 'PARAMETER_INVALID') return null;
      throw error;
    }
  }

  private async represent(
    { detector, embedder }: ModelSet,
    photo: Buffer,
    quality: boolean,
    onUnaligned: () => void,
  ): Promise<PhotoFace | null> {
    try {
      const options = { detector, embedder, quality, faceSelection: 'best' } as const;
      const { faces, faceCount, unalignedCount } = await this.model.represent(photo, options);
      if (unalignedCount > 0) onUnaligned();
      if (faces.length === 0) return null;
      const { embedding, embeddingNorm, quality: measured = null, ...detection } = faces[0];
      return { embedding, norm: embeddingNorm, detection, quality: measured, faceCount };
    } catch (error) {
      if (error instanceof FaceError && error.code === 'FACE_NOT_DETECTED') return null;
      throw error;
    }
  }
}

/** Distance of a pair; Infinity where a face is missing. */
export function pairDistance(
  a: PhotoFace | null | undefined,
  b: PhotoFace | null | undefined,
  metric: Metric,
): number {
  return a == null || b == null ? Infinity : compareEmbeddings(a, b, metric).distance;
}

/**
 * Similarities (negative distances) of all pairs of photos; photos of one person are mated.
 *
 * @param second - faces of the second photo of each pair, where those differ.
 */
export function allPairs(
  photos: readonly Photo[],
  first: PhotoFaces,
  second: PhotoFaces = first,
  metric: Metric = 'cosine',
): ScoredPairs {
  const pairs: ScoredPairs = { mated: [], nonMated: [] };
  photos.forEach((a, i) =>
    photos.slice(i + 1).forEach((b) => {
      const target = a.person === b.person ? pairs.mated : pairs.nonMated;
      target.push(-pairDistance(first.get(a.path), second.get(b.path), metric));
    }),
  );
  return pairs;
}

/** Photos with a face, aligned or not. */
export function foundCount(faces: SetFaces): number {
  return [...faces.values()].filter((face) => face != null).length + faces.unalignedCount;
}

/** Works on a few items at a time; results in the order of the items. */
export async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return results;
}

function remember<T>(memory: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = memory.get(key);
  if (known != null) return known;
  const made = make();
  memory.set(key, made);
  return made;
}
