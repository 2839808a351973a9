import { Option } from 'commander';

/** Option of every command that works on a gallery. */
export interface GalleryOption {
  gallery: string;
}

export function galleryOption(note?: string): Option {
  return new Option('--gallery <id>', note == null ? 'gallery' : `gallery; ${note}`).default('default');
}

/** Address of a gallery of a running service. */
export function galleryPath(id: string): string {
  return `/v1/galleries/${encodeURIComponent(id)}`;
}
