import { readFileSync } from 'node:fs';

/*
 * Memory of processes as Linux counts it. Resident memory counts what is mapped from files in every process that maps
 * it; anonymous memory is what a process holds for itself alone.
 */

/** Bytes; NaN where the process is gone. */
export function residentBytes(pid) {
  return field(`/proc/${pid}/status`, 'VmRSS');
}

/** Bytes; NaN where the process is gone. */
export function anonymousBytes(pid) {
  return field(`/proc/${pid}/smaps_rollup`, 'Anonymous');
}

export function childrenOf(pid) {
  const text = read(`/proc/${pid}/task/${pid}/children`);
  return text.split(' ').filter(Boolean).map(Number);
}

export function megabytes(bytes) {
  return (bytes / 2 ** 20).toFixed(0);
}

function field(path, name) {
  return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(read(path))?.[1] ?? NaN);
}

function read(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
