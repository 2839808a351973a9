import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, cpus, hostname, platform } from 'node:os';
import { join } from 'node:path';
import type { ModelCard } from './model-card';
import { sha256OfFile } from './model-file';

/*
 * A prepared model is the graph as the runtime optimizes it for one machine, with its weights in a file beside that every
 * worker maps: all of them share one copy. `prepared/<name>-<key>/` holds the graph, the weights and a manifest; the key
 * says what they were made from and for, so a folder is never changed, only made or removed.
 *
 * The hashes of the manifest tell damage. Who may write into a models folder can change a card as well.
 */

/** Folder of the prepared models, under the first models folder. */
export const PREPARED_DIR = 'prepared';
/** The optimized graph. */
export const PREPARED_GRAPH = 'model.onnx';
/** Its weights, as they are mapped. */
export const PREPARED_WEIGHTS = 'model.data';
const MANIFEST = 'manifest.json';

/** Raised whenever models are prepared in another way: it is part of the key. */
const FORMAT_VERSION = 3;
/** Age of a temporary folder that somebody else, on another machine maybe, will not finish any more. */
const ABANDONED_MS = 3_600_000;

/** What an optimized graph depends on beside the model. */
export interface Machine {
  /** Version of the runtime that optimized it. */
  runtime: string;
  platform: string;
  arch: string;
  /** Features of the processor: the layout of the weights follows them. */
  cpu: string;
}

let known: Machine | undefined;

/** The machine this runs on, with the runtime that is installed. Does not change while a process runs. */
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
    // Not Linux: the name of the processor has to do.
  }
  return cpus()[0]?.model ?? '';
}

/** Short hash over all that a prepared model depends on: 16 hexadecimal digits. */
export function preparedKey(card: ModelCard, machine: Machine = thisMachine()): string {
  const { runtime, platform, arch, cpu } = machine;
  const parts = [FORMAT_VERSION, card.sha256, runtime, platform, arch, cpu];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function folderName(card: ModelCard): string {
  return `${card.name}-${preparedKey(card)}`;
}

/**
 * Looks for the prepared model of this machine and hashes all of it. One that is damaged is removed, so that it is made
 * again.
 *
 * @param modelsDir - the first models folder.
 * @returns path of the graph, or `null` where there is none.
 */
export async function findPrepared(modelsDir: string, card: ModelCard): Promise<string | null> {
  const parent = join(modelsDir, PREPARED_DIR);
  const folder = join(parent, folderName(card));
  try {
    if (await isWhole(folder)) return join(folder, PREPARED_GRAPH);
  } catch {
    // It cannot be read now: no proof of damage.
    return null;
  }
  const removed = join(parent, temporaryName(card));
  try {
    // Out of the way first: others see it whole or not at all.
    await rename(folder, removed);
    await rm(removed, { recursive: true, force: true });
  } catch {
    // It was removed meanwhile, or cannot be removed; preparing it again then reports the error.
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
    // No JSON, or something else in the place of a file. What is left, too many open files for one, says nothing of it.
    if (code == null || ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(code)) return false;
    throw error;
  }
}

/**
 * Makes a prepared model so that nobody ever sees a part of it: in a folder of its own first, then renamed.
 *
 * Where another process was first, its model stays and ours is dropped. On failure nothing is left behind; what earlier
 * processes left when they were killed is removed.
 *
 * @param modelsDir - the first models folder; made where it is absent.
 * @param make - writes {@link PREPARED_GRAPH} and {@link PREPARED_WEIGHTS} into the empty folder it is given.
 * @returns path of the graph.
 */
export async function publishPrepared(
  modelsDir: string,
  card: ModelCard,
  make: (folder: string) => Promise<void>,
): Promise<string> {
  await removeAbandoned(modelsDir);
  const parent = join(modelsDir, PREPARED_DIR);
  const name = temporaryName(card);
  const temporary = join(parent, name);
  own.add(name);
  try {
    await mkdir(modelsDir, { recursive: true });
    // One by one: recursively, a read-only file system comes out as a folder that is absent.
    await mkdir(parent).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await mkdir(temporary);
    await make(temporary);
    await seal(temporary);
    const folder = join(parent, folderName(card));
    try {
      await rename(temporary, folder);
    } catch {
      // Somebody was first, or something damaged is in the way, which is removed by the look at it.
      if ((await findPrepared(modelsDir, card)) == null) await rename(temporary, folder);
    }
    return join(folder, PREPARED_GRAPH);
  } finally {
    await rm(temporary, { recursive: true, force: true });
    own.delete(name);
  }
}

/** Writes the manifest. All is on the disk afterwards: after a power cut a renamed folder is whole. */
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

/** Temporary folders of this process. A container that starts again may have the process ids that it had before. */
const own = new Set<string>();

/** Says who is at work, so that the folder can be removed once that process is gone. */
function temporaryName(card: ModelCard): string {
  return `.${card.name}.${process.pid}-${randomBytes(6).toString('hex')}@${hostname()}.tmp`;
}

/**
 * Removes the temporary folders of processes that are gone: those of this host that do not run any more, and whatever
 * nobody has touched for an hour, as the processes of other hosts cannot be seen.
 */
export async function removeAbandoned(modelsDir: string): Promise<void> {
  const parent = join(modelsDir, PREPARED_DIR);
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
