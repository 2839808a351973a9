import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { arch, cpus, hostname, platform } from 'node:os';
import { join, sep } from 'node:path';
import type { ModelCard } from './model-card';
import { sha256OfFile } from './model-file';

/*
 * A prepared model is a graph that the runtime has optimized for one machine. Its weights are in a separate file that
 * every worker maps, so all workers share one copy. `prepared/<name>-<key>/` holds the graph, the weights and a
 * manifest; the key covers source and target, so a folder is never changed, only created or removed.
 *
 * The hashes of the manifest detect damage, not attacks: whoever can write the cache folder chooses the graphs that
 * workers load.
 */

/** Folder of the prepared models, in the cache folder. */
export const PREPARED_DIR = 'prepared';
/** The optimized graph. */
export const PREPARED_GRAPH = 'model.onnx';
/** Its weights, in their mapped form. */
export const PREPARED_WEIGHTS = 'model.data';
const MANIFEST = 'manifest.json';

/** Raise it when the preparation changes: it is part of the key. */
const FORMAT_VERSION = 4;
/** Age at which a temporary folder counts as abandoned, even by a process on another machine. */
const ABANDONED_MS = 3_600_000;

/** Dependencies of an optimized graph other than the model. */
export interface Machine {
  /** Version of the runtime. */
  runtime: string;
  platform: string;
  arch: string;
  /** Features of the processor; they determine the layout of the weights. */
  cpu: string;
}

let known: Machine | undefined;

/** The current machine and the installed runtime. Constant within a process. */
export function thisMachine(): Machine {
  return (known ??= { runtime: runtimeVersion(), platform: platform(), arch: arch(), cpu: cpuFeatures() });
}

/** Read from the package file: the main process never loads the runtime. */
function runtimeVersion(): string {
  const json = readFileSync(require.resolve('onnxruntime-node/package.json'), 'utf8');
  return (JSON.parse(json) as { version: string }).version;
}

function cpuFeatures(): string {
  try {
    // `flags` on x86, `Features` on ARM.
    const line = /^(?:flags|Features)\s*: (.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    if (line != null) return line[1].trim().split(/\s+/).sort().join(' ');
  } catch {
    // Not Linux: use the name of the processor instead.
  }
  return cpus()[0]?.model ?? '';
}

/** Short hash over all dependencies of a prepared model: 16 hexadecimal digits. */
export function preparedKey(card: ModelCard, machine: Machine = thisMachine()): string {
  const { runtime, platform, arch, cpu } = machine;
  const parts = [FORMAT_VERSION, card.sha256, runtime, platform, arch, cpu];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function folderName(card: ModelCard): string {
  return `${card.name}-${preparedKey(card)}`;
}

/**
 * Finds the prepared model of this machine and hashes all of it. A damaged one is removed, so that it is created again.
 *
 * @param cacheDir - folder that holds {@link PREPARED_DIR}.
 * @returns path of the graph, or `null` if there is none.
 */
export async function findPrepared(cacheDir: string, card: ModelCard): Promise<string | null> {
  const parent = join(cacheDir, PREPARED_DIR);
  const folder = join(parent, folderName(card));
  try {
    if (await isWhole(folder)) return join(folder, PREPARED_GRAPH);
  } catch {
    // A read error is no proof of damage.
    return null;
  }
  const removed = join(parent, temporaryName(card));
  try {
    // Rename it first: other processes see it whole or not at all.
    await rename(folder, removed);
    await rm(removed, { recursive: true, force: true });
  } catch {
    // Another process removed it, or it cannot be removed; preparing it again then reports the error.
  }
  return null;
}

async function isWhole(folder: string): Promise<boolean> {
  try {
    const { files } = JSON.parse(await readFile(join(folder, MANIFEST), 'utf8')) as {
      files: Record<string, string>;
    };
    const names = (await readdir(folder)).filter((name) => name !== MANIFEST).sort();
    if (!names.includes(PREPARED_GRAPH) || Object.keys(files).sort().join() !== names.join()) return false;
    for (const name of names) if ((await sha256OfFile(join(folder, name))) !== files[name]) return false;
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Invalid JSON or no regular file means damage; other errors, such as too many open files, do not.
    if (code == null || ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(code)) return false;
    throw error;
  }
}

/**
 * Creates the folder of the prepared models if it is absent.
 *
 * @throws the error of the system where it cannot be created or written.
 */
export async function createPreparedDir(cacheDir: string): Promise<void> {
  const parent = join(cacheDir, PREPARED_DIR);
  await mkdir(cacheDir, { recursive: true });
  // One by one, because `recursive` reports a read-only file system as an absent folder.
  await mkdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  // With the separator, a file of that name is an error too.
  await access(parent + sep, constants.W_OK | constants.X_OK);
}

/**
 * Creates a prepared model atomically: in a temporary folder, which is then renamed.
 *
 * If another process was first, its model stays and ours is dropped. A failure leaves nothing behind; leftovers of
 * killed processes are removed.
 *
 * @param cacheDir - created if absent.
 * @param make - writes {@link PREPARED_GRAPH} and {@link PREPARED_WEIGHTS} into the given empty folder.
 * @returns path of the graph.
 */
export async function publishPrepared(
  cacheDir: string,
  card: ModelCard,
  make: (folder: string) => Promise<void>,
): Promise<string> {
  await removeAbandoned(cacheDir);
  const parent = join(cacheDir, PREPARED_DIR);
  const name = temporaryName(card);
  const temporary = join(parent, name);
  own.add(name);
  try {
    await createPreparedDir(cacheDir);
    await mkdir(temporary);
    await make(temporary);
    await seal(temporary);
    const folder = join(parent, folderName(card));
    try {
      await rename(temporary, folder);
    } catch {
      // Another process was first, or a damaged model is in the way; finding it removes the latter.
      if ((await findPrepared(cacheDir, card)) == null) await rename(temporary, folder);
    }
    return join(folder, PREPARED_GRAPH);
  } finally {
    await rm(temporary, { recursive: true, force: true });
    own.delete(name);
  }
}

/** Writes the manifest and syncs all files, so that a renamed folder is complete even after a power loss. */
async function seal(folder: string): Promise<void> {
  const names = await readdir(folder);
  const files: Record<string, string> = {};
  for (const name of names) files[name] = await sha256OfFile(join(folder, name));
  await writeFile(join(folder, MANIFEST), JSON.stringify({ files }));
  for (const name of [...names, MANIFEST]) {
    const file = await open(join(folder, name), 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Temporary folders of this process. A restarted container may reuse its process ids. */
const own = new Set<string>();

/** Records the owner, so that the folder can be removed after its process has exited. */
function temporaryName(card: ModelCard): string {
  return `.${card.name}.${process.pid}-${randomBytes(6).toString('hex')}@${hostname()}.tmp`;
}

/**
 * Removes temporary folders of exited processes of this host, and those unchanged for an hour, because processes of
 * other hosts are invisible.
 */
export async function removeAbandoned(cacheDir: string): Promise<void> {
  const parent = join(cacheDir, PREPARED_DIR);
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((name) => name.startsWith('.') && name.endsWith('.tmp'))) {
    const path = join(parent, name);
    if (own.has(name)) continue;
    if (isOfDeadProcess(name) || (await isOld(path))) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

function isOfDeadProcess(name: string): boolean {
  const [, pid, host] = /\.(\d+)-[0-9a-f]+@(.*)\.tmp$/.exec(name) ?? [];
  if (pid == null || host !== hostname()) return false;
  if (Number(pid) === process.pid) return true;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function isOld(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > ABANDONED_MS;
}
