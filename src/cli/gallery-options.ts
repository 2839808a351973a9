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

/** Option of every command that opens the folder of a durable store directly, which no service may have open. */
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

/** The current key of the folder; `undefined`: not encrypted. */
export function galleryKey(): string | undefined {
  return process.env.FACE_GALLERY_KEY || undefined;
}

/** @throws {FaceError} GALLERY_STORE_INVALID if there is no durable store yet: opening the folder would create one. */
export function requireFolder(dir: string): void {
  if (!existsSync(join(dir, HEADER_FILE)))
    throw new FaceError('GALLERY_STORE_INVALID', 'The folder does not contain a durable gallery store.');
}

/** Address of a gallery of a running service. */
export function galleryPath(id: string): string {
  return `/v1/galleries/${encodeURIComponent(id)}`;
}

/** Address of the admin routes of a gallery. */
export function adminPath(gallery: string): string {
  return `/admin/galleries/${encodeURIComponent(gallery)}`;
}

/** Converts a file system error about a file argument. */
export function unusable(file: string, error: unknown): FaceError {
  const { code } = error as NodeJS.ErrnoException;
  return new FaceError(
    'PARAMETER_INVALID',
    `The file ${JSON.stringify(file)} cannot be used: ${code}.`,
    { file },
    { cause: error },
  );
}
