import { type FileHandle, stat } from 'node:fs/promises';

/**
 * Gives a new file the owner of the one that it replaces: root may run a command on the folder of the service.
 *
 * @param replaced - path; without such a file, nothing is done.
 */
export async function keepOwner(file: FileHandle, replaced: string): Promise<void> {
  if (process.getuid?.() !== 0) return; // Only root makes files for others.
  const old = await stat(replaced).catch(() => null);
  if (old) await file.chown(old.uid, old.gid);
}
