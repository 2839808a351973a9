import { readFile } from 'node:fs/promises';

/** Memory of a process, in bytes. */
export interface ProcessMemory {
  /** Pages of its own. */
  privateBytes: number;
  /** Pages mapped from files: those of one file are the same memory in every process that maps it. */
  sharedBytes: number;
}

/**
 * Reads the memory of a process from the kernel.
 *
 * @see `Documentation/filesystems/proc.rst` of Linux: smaps_rollup sums all mappings; Anonymous belongs to no file.
 * @returns `null` where the system is not Linux, or the process is gone.
 */
export async function processMemory(pid: number | 'self'): Promise<ProcessMemory | null> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    return null;
  }
  const bytes = (field: string) =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
  const privateBytes = bytes('Anonymous');
  return { privateBytes, sharedBytes: Math.max(0, bytes('Rss') - privateBytes) };
}
