import { join } from 'node:path';
import type { AppConfig } from '../../server/config/app.config';
import { FaceError } from '../../errors';
import { HEADER_FILE, openHeader } from '../../gallery/stores/durable/folder-header';
import { type Check, failure, ok, warning } from './check';
import { exists } from './check-folders';

/** Checks that the gallery store can be opened, without changing it. */
export async function checkStore({ features, gallery }: AppConfig): Promise<Check> {
  const name = 'gallery store';
  if (!features.has('galleries')) return ok(name, 'FACE_FEATURES disables galleries.');
  try {
    if (gallery.store === 'durable')
      return ok(name, await describeFolder(gallery.dir, gallery.key ?? undefined));
    const advice = 'Set FACE_GALLERY_STORE=durable to keep them.';
    return warning(name, 'Galleries are kept in memory and are lost when the process ends.', advice);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(name, error.message, 'See docs/operations.md for the requirements of each store.');
  }
}

/** Reads only the header: a running service keeps its lock. */
async function describeFolder(dir: string, key: string | undefined): Promise<string> {
  if (!(await exists(join(dir, HEADER_FILE)))) return 'The durable store has no galleries yet.';
  await openHeader(dir, key);
  return `The durable store opens ${key == null ? 'without a key' : 'with the key'}.`;
}
