import { jetstreamInvalid } from './connect-nats';
import { EntryLog } from './entry-log';
import { EntrySealer } from './entry-sealer';
import type { NatsSettings } from './nats-settings';

/**
 * Changes the operator's key of a jetstream store. It rewrites one entry, the key of the stream, and overwrites its old version.
 * Running replicas keep the key of the stream in memory, so they continue; their next boot needs the new key.
 *
 * @param key - current key.
 * @param newKey - 32 characters or more.
 * @throws {FaceError} GALLERY_STORE_INVALID if the servers cannot be used, hold no galleries in this namespace, `key` is wrong or
 * equal to `newKey`, or a key is too short: the old key stays valid. GALLERY_STORE_FAILED if the servers do not confirm the change:
 * either key can be valid then.
 */
export async function rekeyStream(
  nats: NatsSettings,
  key: string | undefined,
  newKey: string,
): Promise<void> {
  if (key === newKey) throw jetstreamInvalid('already has the new key');
  const log = await EntryLog.open({ ...nats, onEntry: () => undefined });
  try {
    if (!(await EntrySealer.exists(log))) throw jetstreamInvalid('has no galleries in this namespace');
    const sealer = await EntrySealer.open(log, key);
    await sealer.rekey(log, newKey);
  } finally {
    await log.close();
  }
}
