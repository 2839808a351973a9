import { join } from 'node:path';
import { isImageName, listFolder } from './image-files';

/** A photo of a person. */
export interface PersonFile {
  /** Name of its folder. */
  subjectId: string;
  file: string;
}

/**
 * Lists the photos of a tree with one folder per person, in the order of their names.
 *
 * @returns `skipped`: files without an image extension, or outside the folder of a person.
 * @throws {FaceError} IMAGE_MISSING if the folder does not exist.
 */
export async function listPeople(folder: string): Promise<{ photos: PersonFile[]; skipped: string[] }> {
  const photos: PersonFile[] = [];
  const skipped: string[] = [];
  for (const person of await listFolder(folder)) {
    const path = join(folder, person.name);
    if (!person.isDirectory()) {
      skipped.push(path);
      continue;
    }
    for (const entry of await listFolder(path)) {
      const file = join(path, entry.name);
      if (entry.isFile() && isImageName(entry.name)) photos.push({ subjectId: person.name, file });
      else skipped.push(file);
    }
  }
  return { photos, skipped };
}
