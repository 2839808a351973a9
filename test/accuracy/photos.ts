import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sharedDir } from '../support/shared';

/** A labeled photo. */
export interface Photo {
  /** Who it shows. Photos of one person are mated. */
  person: string;
  path: string;
}

/** Photos that are represented together. */
export interface PhotoSet<P extends Photo = Photo> {
  name: string;
  photos: readonly P[];
}

/** A photo of london102, with the labels of people.csv. */
export interface GroupPhoto extends Photo {
  gender: string;
  group: string;
}

/** A pair of master.csv. */
export interface LabeledPair {
  a: string;
  b: string;
  isMated: boolean;
}

export const dataDir = join(sharedDir ?? '', 'data');

/** 100 photos of 10 people, 250 x 250. */
export function lfw10(): PhotoSet {
  return { name: 'lfw10', photos: photosByFolder(join(dataDir, 'lfw10')) };
}

/** 60 photos of things. */
export function nonface(): PhotoSet {
  return { name: 'nonface', photos: photosByFolder(join(dataDir, 'nonface')) };
}

/** 250 people, each with 6 `frontal` and 2 `profile` photos. */
export function cfp250(view: 'frontal' | 'profile'): PhotoSet {
  const root = join(dataDir, 'cfp250');
  const photos = filesOf(root).flatMap((person) =>
    filesOf(join(root, person, view)).map((file) => ({ person, path: join(root, person, view, file) })),
  );
  return { name: `cfp250 ${view}`, photos };
}

/** 102 people, each with two studio portraits. */
export function london102(): PhotoSet<GroupPhoto> {
  const root = join(dataDir, 'london102');
  const photos = linesOf(join(root, 'people.csv')).flatMap(([person, , gender, group]) =>
    ['neutral', 'smiling'].map((look) => ({
      person,
      gender,
      group: group.replace('_', ' '),
      path: join(root, `${person}_${look}.jpg`),
    })),
  );
  return { name: 'london102', photos };
}

/** The labeled pairs of DeepFace's unit tests: file_x,file_y,Decision. */
export function masterPairs(): LabeledPair[] {
  const root = join(dataDir, 'deepface');
  return linesOf(join(root, 'master.csv')).map(([a, b, decision]) => ({
    a: join(root, a),
    b: join(root, b),
    isMated: decision === 'Yes',
  }));
}

/** The photos of {@link masterPairs}, whose people have no name. */
export function masterPhotos(): PhotoSet {
  const paths = new Set(masterPairs().flatMap(({ a, b }) => [a, b]));
  return { name: 'master.csv', photos: [...paths].map((path) => ({ person: path, path })) };
}

function photosByFolder(root: string): Photo[] {
  return filesOf(root).flatMap((person) =>
    filesOf(join(root, person)).map((file) => ({ person, path: join(root, person, file) })),
  );
}

function filesOf(folder: string): string[] {
  return readdirSync(folder).sort();
}

/** Cells of a CSV file without quotes, its heading left out. */
function linesOf(path: string): string[][] {
  return readFileSync(path, 'utf8')
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.split(',').map((cell) => cell.trim()));
}
