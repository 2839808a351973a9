import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaceModel } from '../../src/face/face-model';
import { compareEmbeddings, type NormedEmbedding } from '../../src/pipeline/compare-embeddings';
import type { Metric } from '../../src/pipeline/face.types';
import type { ScoredPairs } from './error-rates';

/** Embedding of the largest face of a photo; `null` where none was found. */
export type PhotoEmbedding = NormedEmbedding | null;

export interface LabelledPair {
  a: string;
  b: string;
  isMated: boolean;
}

/** Every photo of a folder of folders, with the name of its folder. */
export function photosByFolder(root: string): { folder: string; path: string }[] {
  return readdirSync(root)
    .sort()
    .flatMap((folder) =>
      readdirSync(join(root, folder))
        .sort()
        .map((file) => ({ folder, path: join(root, folder, file) })),
    );
}

/** The labelled pairs of DeepFace's master.csv: file_x,file_y,Decision. */
export function masterPairs(folder: string): LabelledPair[] {
  return readFileSync(join(folder, 'master.csv'), 'utf8')
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.split(','))
    .map(([a, b, decision]) => ({
      a: join(folder, a),
      b: join(folder, b),
      isMated: decision.trim() === 'Yes',
    }));
}

/** Represents the largest face of every photo. */
export async function embedPhotos(
  model: FaceModel,
  paths: string[],
  edit: (bytes: Buffer) => Promise<Buffer> = async (bytes) => bytes,
): Promise<Map<string, PhotoEmbedding>> {
  const embeddings = new Map<string, PhotoEmbedding>();
  await Promise.all(
    [...new Set(paths)].map(async (path) => {
      const { faces } = await model.represent(await edit(readFileSync(path)), { faceSelection: 'best' });
      embeddings.set(
        path,
        faces.length === 0 ? null : { embedding: faces[0].embedding, norm: faces[0].embeddingNorm },
      );
    }),
  );
  return embeddings;
}

/** Distance of a pair; Infinity where a face is missing. */
export function pairDistance(
  a: PhotoEmbedding | undefined,
  b: PhotoEmbedding | undefined,
  metric: Metric,
): number {
  return a == null || b == null ? Infinity : compareEmbeddings(a, b, metric).distance;
}

/** Similarities (negative distances) of all pairs of photos; photos of one folder are mated. */
export function allPairs(
  photos: { folder: string; path: string }[],
  first: Map<string, PhotoEmbedding>,
  metric: Metric,
  second = first,
): ScoredPairs {
  const pairs: ScoredPairs = { mated: [], nonMated: [] };
  photos.forEach((a, i) =>
    photos.slice(i + 1).forEach((b) => {
      const target = a.folder === b.folder ? pairs.mated : pairs.nonMated;
      target.push(-pairDistance(first.get(a.path), second.get(b.path), metric));
    }),
  );
  return pairs;
}
