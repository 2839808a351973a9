import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { FaceError } from '../errors';

/** A photo of a person. */
export interface PersonFile {
  /** Name of the folder that it is in. */
  subjectId: string;
  file: string;
}

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff'];

/**
 * Lists the photos of a tree with one folder per person, in the order of their names.
 *
 * @returns `passedOver`: files that have no name of an image, or lie in no person's folder.
 * @throws {FaceError} IMAGE_MISSING where there is no such folder.
 */
export async function listPeople(folder: string): Promise<{ photos: PersonFile[]; passedOver: string[] }> {
  const photos: PersonFile[] = [];
  const passedOver: string[] = [];
  for (const person of await entries(folder)) {
    const path = join(folder, person.name);
    if (!person.isDirectory()) {
      passedOver.push(path);
      continue;
    }
    for (const entry of await entries(path)) {
      const file = join(path, entry.name);
      const isImage = entry.isFile() && IMAGE_EXTENSIONS.includes(extname(entry.name).toLowerCase());
      if (isImage) photos.push({ subjectId: person.name, file });
      else passedOver.push(file);
    }
  }
  return { photos, passedOver };
}

/** Without those that hide: no file manager shows them. */
async function entries(folder: string) {
  try {
    const all = await readdir(folder, { withFileTypes: true });
    return all.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new FaceError(
      'IMAGE_MISSING',
      `The folder ${JSON.stringify(folder)} cannot be read: ${(error as NodeJS.ErrnoException).code}.`,
      { file: folder },
      { cause: error },
    );
  }
}
