import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { FaceError } from '../errors';
import { STDIN } from './read-image';

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff'];

/** The images of a command line. */
export interface ImageFiles {
  files: string[];
  /** False for a single image that is named itself: the command answers with one document. */
  isList: boolean;
}

/**
 * Lists the images that arguments name: files, folders (their images, subfolders included, in the order of their names)
 * and {@link STDIN}. A file that does not exist is listed: reading it fails with an error that names it.
 *
 * @throws {FaceError} PARAMETER_INVALID if standard input is given twice; IMAGE_MISSING for a folder without images.
 */
export async function listImages(paths: readonly string[]): Promise<ImageFiles> {
  if (paths.filter((path) => path === STDIN).length > 1) throw stdinTwice();
  const files: string[] = [];
  let isList = paths.length > 1;
  for (const path of paths) {
    const isFolder = path !== STDIN && (await stat(path).catch(() => null))?.isDirectory() === true;
    if (!isFolder) {
      files.push(path);
      continue;
    }
    isList = true;
    const before = files.length;
    await walk(path, files);
    if (files.length === before) {
      throw new FaceError('IMAGE_MISSING', `The folder ${JSON.stringify(path)} has no image files.`, {
        file: path,
      });
    }
  }
  return { files, isList };
}

export function stdinTwice(): FaceError {
  return new FaceError('PARAMETER_INVALID', `Standard input (${STDIN}) can be given only once.`);
}

async function walk(folder: string, files: string[]): Promise<void> {
  for (const entry of await listFolder(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await walk(path, files);
    // A link to a folder is not followed: it could lead back here.
    else if (isImageName(entry.name) && (entry.isFile() || (await isLinkToFile(path)))) files.push(path);
  }
}

async function isLinkToFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() === true;
}

/** Whether the name of a file ends like that of an image. */
export function isImageName(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());
}

/**
 * Entries of a folder in the order of their names, without hidden ones, which file managers do not show.
 *
 * @throws {FaceError} IMAGE_MISSING if the folder cannot be read.
 */
export async function listFolder(folder: string) {
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
