import { join } from 'node:path';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../errors';
import { HEADER_FILE, openHeader } from '../../gallery/durable/folder-header';
import { loadLancePackage } from '../../gallery/lance/lance-package';
import { type Check, failure, ok, warning } from './check';
import { exists } from './check-folders';

/** Whether the store of the galleries can be opened. Changes nothing in it. */
export async function checkStore({ features, gallery }: AppConfig): Promise<Check> {
  const name = 'gallery store';
  if (!features.has('galleries')) return ok(name, 'FACE_FEATURES leaves galleries out.');
  try {
    if (gallery.store === 'durable')
      return ok(name, await describeFolder(gallery.dir, gallery.key ?? undefined));
    if (gallery.store === 'lancedb') return ok(name, await describeDatabase(gallery.uri));
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

/** Connects and lists: no table is made, as the service makes them. */
async function describeDatabase(uri: string | null): Promise<string> {
  if (uri == null) throw new FaceError('FACE_OPTIONS_INVALID', 'FACE_GALLERY_URI is not set.');
  const { lancedb } = loadLancePackage();
  // To connect to a folder is to make it.
  if (!uri.includes('://') && !(await exists(uri))) return 'The LanceDB database has no galleries yet.';
  try {
    const connection = await lancedb.connect(uri);
    await connection.tableNames();
    connection.close();
  } catch (cause) {
    throw new FaceError(
      'GALLERY_STORE_INVALID',
      'The database of the galleries cannot be reached.',
      {},
      { cause },
    );
  }
  return 'The LanceDB database answers.';
}
