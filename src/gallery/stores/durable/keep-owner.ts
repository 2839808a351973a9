import { type FileHandle, stat } from 'node:fs/promises';

/**
 * Gives a new file the owner of the replaced one, as root may run a command on the folder of the service.
 *
 * @param replaced - path of the replaced file; does nothing if it does not exist.
 */
export async function keepOwner(file: FileHandle, replaced: string): Promise<void> {
  if (process.getuid?.() !== 0) return; // Only root can change the owner.
  const old = await stat(replaced).catch(() => null);
  if (old) await file.chown(old.uid, old.gid);
}
