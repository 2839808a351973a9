import { join } from 'node:path';
import type { AppConfig } from '../../server/config/app.config';
import { FaceError } from '../../errors';
import { HEADER_FILE, openHeader } from '../../gallery/stores/durable/folder-header';
import { type Check, failure, ok, warning } from './check';
import { exists } from './check-folders';

/** Whether the store of the galleries can be opened. Changes nothing in it. */
export async function checkStore({ features, gallery }: AppConfig): Promise<Check> {
  const name = 'gallery store';
  if (!features.has('galleries')) return ok(name, 'FACE_FEATURES leaves galleries out.');
  try {
    if (gallery.store === 'durable')
      return ok(name, await describeFolder(gallery.dir, gallery.key ?? undefined));
    const advice = 'Set FACE_GALLERY_STORE=durable to keep them.';
    return warning(name, 'Galleries are kept in memory, and are gone when the process ends.', advice);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(name, error.message, 'docs/operations.md says what each store needs.');
  }
}

/** Reads the header only: the lock stays free for the service, which may be running. */
async function describeFolder(dir: string, key: string | undefined): Promise<string> {
  if (!(await exists(join(dir, HEADER_FILE)))) return 'The durable store has no galleries yet.';
  await openHeader(dir, key);
  return `The durable store opens ${key == null ? 'without a key' : 'with the key'}.`;
}
