import { Option } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FaceError } from '../errors';
import { HEADER_FILE } from '../gallery/stores/durable/folder-header';
import { DEFAULT_GALLERY_DIR } from '../gallery/gallery.options';

/** Option of every command that works on a gallery. */
export interface GalleryOption {
  gallery: string;
}

/** Option of every command that opens the folder of a durable store itself: no service may have it open. */
export interface FolderOption {
  dir: string;
}

export function galleryOption(note?: string): Option {
  return new Option('--gallery <id>', note == null ? 'gallery' : `gallery; ${note}`).default('default');
}

export function folderOption(): Option {
  return new Option('--dir <folder>', 'folder of the durable store; its key is FACE_GALLERY_KEY')
    .env('FACE_GALLERY_DIR')
    .default(DEFAULT_GALLERY_DIR);
}

/** The key that the folder has now; `undefined`: none. */
export function galleryKey(): string | undefined {
  return process.env.FACE_GALLERY_KEY || undefined;
}

/** @throws {FaceError} GALLERY_STORE_INVALID where no durable store was made: to open a folder is to make it. */
export function requireFolder(dir: string): void {
  if (!existsSync(join(dir, HEADER_FILE)))
    throw new FaceError('GALLERY_STORE_INVALID', 'The folder holds no galleries of a durable store.');
}

/** Address of a gallery of a running service. */
export function galleryPath(id: string): string {
  return `/v1/galleries/${encodeURIComponent(id)}`;
}

/** Of the administrators' routes of a gallery. */
export function adminPath(gallery: string): string {
  return `/admin/galleries/${encodeURIComponent(gallery)}`;
}

/** An error of the file system about a file that the command was given. */
export function unusable(file: string, error: unknown): FaceError {
  const { code } = error as NodeJS.ErrnoException;
  return new FaceError(
    'PARAMETER_INVALID',
    `The file ${JSON.stringify(file)} cannot be used: ${code}.`,
    { file },
    { cause: error },
  );
}
