import { open } from 'node:fs/promises';

/** Makes creations, renames and removals of files durable. */
export async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return; // Folders cannot be opened there.
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
