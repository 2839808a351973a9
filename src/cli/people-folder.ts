import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { FaceError } from '../errors';

/** A photo of a person. */
export interface PersonFile {
  /** Name of its folder. */
  subjectId: string;
  file: string;
}

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff'];

/**
 * Lists the photos of a tree with one folder per person, in the order of their names.
 *
 * @returns `skipped`: files without an image extension, or outside the folder of a person.
 * @throws {FaceError} IMAGE_MISSING if the folder does not exist.
 */
export async function listPeople(folder: string): Promise<{ photos: PersonFile[]; skipped: string[] }> {
  const photos: PersonFile[] = [];
  const skipped: string[] = [];
  for (const person of await entries(folder)) {
    const path = join(folder, person.name);
    if (!person.isDirectory()) {
      skipped.push(path);
      continue;
    }
    for (const entry of await entries(path)) {
      const file = join(path, entry.name);
      const isImage = entry.isFile() && IMAGE_EXTENSIONS.includes(extname(entry.name).toLowerCase());
      if (isImage) photos.push({ subjectId: person.name, file });
      else skipped.push(file);
    }
  }
  return { photos, skipped };
}

/** Directory entries without hidden ones, which file managers do not show. */
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
