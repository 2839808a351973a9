import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyFileEntry } from '../../src/server/http/auth/key-file';
import { generateKey, sha256 } from '../../src/server/http/auth/key-file';

/** Writes a key file with an entry per name. @returns its path, and the keys by name. */
export function writeKeyFile(
  folder: string,
  entries: Record<string, Omit<KeyFileEntry, 'name' | 'sha256'>>,
): { file: string; keys: Record<string, string> } {
  const keys = Object.fromEntries(Object.keys(entries).map((name) => [name, generateKey()]));
  const file = join(folder, 'keys.json');
  const list = Object.entries(entries).map(([name, entry]) => ({
    name,
    sha256: sha256(keys[name]).toString('hex'),
    ...entry,
  }));
  writeFileSync(file, JSON.stringify({ keys: list }));
  return { file, keys };
}
