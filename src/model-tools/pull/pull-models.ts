import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';
import { FaceError } from '../../errors';
import { writeAtomically } from '../../models/write-atomically';
import type { CardLicense, ModelCard } from '../../models/model-card';
import { checksumMismatch, isModelFile, sha256OfFile } from '../../models/model-file';
import type { StoredModel } from '../../models/model-store';
import {
  DEFAULT_RETRY_POLICY,
  type DownloadEvents,
  downloadFile,
  type RetryPolicy,
  publishPart,
  removePart,
} from './download-file';
import { extractEntries, MAX_FILE_BYTES, MAX_PACK_BYTES } from './extract-entries';

/** Polling interval of a pull that waits for another one. */
const LOCK_POLL_MS = 200;

/** Source and destination of a pull. */
export interface PullOptions {
  /** Models folder for the files. */
  modelsDir: string;
  /** Folder of a server with the files by name, ends in a slash; `null`: each file from its publisher. */
  mirrorUrl: string | null;
  /** Local folder with the files or packs; `null`: from the network. */
  from: string | null;
  /** True to replace even correct files. */
  force: boolean;
  /** True if the operator accepts licenses that forbid commercial use. */
  acceptLicense: boolean;
  /** sha256 of the ONNX file for a card that pins none. For a single model only. */
  sha256: string | null;
  /** Called with the progress of each file. */
  onBytes?(file: string, done: number, total: number | null): void;
  onNotice?(message: string): void;
  retryPolicy?: Partial<RetryPolicy>;
}

/** Result for one model. */
export interface PulledModel {
  name: string;
  /** Path of the ONNX file. */
  path: string;
  /** `present`: the correct file already existed. */
  state: 'present' | 'pulled';
  license: CardLicense;
}

/** A model with a complete card. */
interface Wanted {
  card: ModelCard & { file: string; sha256: string };
  /** True if the operator gave the sha256. */
  isPinnedHere: boolean;
  /** The correct file, if it already exists. */
  present: string | null;
}

/** One file to fetch, and the models in it. */
interface Fetch {
  /** Name of the ONNX file or pack. */
  file: string;
  /** Absent if the card has no URL and there is no mirror. */
  url: string | null;
  sha256: string;
  bytes: number | null;
  isPack: boolean;
  wanted: Wanted[];
}

/**
 * Fetches the files of models, from the network or from a folder. A pack is fetched once for all models in it. Nothing
 * is fetched before every name, license and hash has been checked; no file appears under its name before its own check.
 *
 * @yields each model when it is ready.
 * @throws {FaceError} MODEL_UNKNOWN for a name without a card or of a compiled model; MODEL_LICENSE_NOT_ACCEPTED;
 * MODEL_INVALID if no sha256 is pinned or given; MODEL_NOT_FOUND without a source for the file; PARAMETER_INVALID if
 * `sha256` does not match the names; MODEL_DOWNLOAD_FAILED; MODEL_ARCHIVE_INVALID; MODEL_CHECKSUM_MISMATCH if another
 * file was received.
 */
export async function* pullModels(
  names: readonly string[],
  store: ReadonlyMap<string, StoredModel>,
  options: PullOptions,
): AsyncGenerator<PulledModel, void, void> {
  const models = await Promise.all([...new Set(names)].map((name) => plan(name, names, store, options)));
  const fetches = groupByFile(
    models.filter(({ present }) => present == null),
    options,
  );
  for (const { card, isPinnedHere, present } of models) {
    if (present == null) continue;
    if (isPinnedHere) await pinCard(card, present, options.modelsDir);
    yield { name: card.name, path: present, state: 'present', license: card.license };
  }
  if (fetches.length > 0) await mkdir(options.modelsDir, { recursive: true });
  for (const fetch of fetches) {
    const state =
      options.from == null
        ? await fetchFromNetwork(fetch, options)
        : await copy(fetch, options.from, options);
    for (const { card, isPinnedHere } of fetch.wanted) {
      const path = join(options.modelsDir, card.file);
      if (isPinnedHere) await pinCard(card, path, options.modelsDir);
      yield { name: card.name, path, state, license: card.license };
    }
  }
}

async function plan(
  name: string,
  names: readonly string[],
  store: ReadonlyMap<string, StoredModel>,
  { sha256, force, acceptLicense }: PullOptions,
): Promise<Wanted> {
  const model = store.get(name);
  if (model == null || model.card.compiled) {
    const available = [...store.values()].flatMap(({ card }) => (card.compiled ? [] : card.name));
    const reason = model == null ? 'no card has that name' : 'use `likeness models compile` for it';
    throw new FaceError(
      'MODEL_UNKNOWN',
      `Expected a downloadable model but received ${JSON.stringify(name)}: ${reason}. Known: ${available.join(', ')}.`,
      { model: name, available },
    );
  }
  const { card, path } = model;
  if (sha256 != null && (new Set(names).size > 1 || (card.sha256 ?? sha256) !== sha256)) {
    throw new FaceError(
      'PARAMETER_INVALID',
      `Option --sha256 requires one model whose card has no sha256 or the same one; the card of ${name} has ${card.sha256 ?? 'none'}.`,
      { field: 'sha256' },
    );
  }
  const pinned = card.sha256 ?? sha256;
  if (pinned == null) {
    throw new FaceError(
      'MODEL_INVALID',
      `The card of model ${name} has no sha256, because none is published. Specify the file that you trust with --sha256. Its source: ${card.source}`,
      { model: name },
    );
  }
  const complete = { ...card, file: card.file as string, sha256: pinned };
  const isPresent = !force && path != null && (await isModelFile(path, complete));
  if (!isPresent && !card.license.commercialUse && !acceptLicense) throw licenseNotAccepted(card);
  return { card: complete, isPinnedHere: card.sha256 == null, present: isPresent ? path : null };
}

function licenseNotAccepted({ name, license }: ModelCard): FaceError {
  const note = license.note == null ? '' : ` ${license.note}`;
  return new FaceError(
    'MODEL_LICENSE_NOT_ACCEPTED',
    `The license of model ${name} (${license.name}) does not allow commercial use.${note} If your use complies with it, repeat with --accept-license.`,
    { model: name, license },
  );
}

function groupByFile(models: readonly Wanted[], { mirrorUrl, from }: PullOptions): Fetch[] {
  const fetches = new Map<string, Fetch>();
  for (const wanted of models) {
    const { card } = wanted;
    const { url: published = null, pack } = card.download ?? {};
    const name = published == null ? card.file : basename(published);
    const file = pack == null ? card.file : name;
    const url = mirrorUrl == null ? published : mirrorUrl + encodeURIComponent(name);
    if (url == null && from == null) {
      throw new FaceError(
        'MODEL_NOT_FOUND',
        `The card of model ${card.name} has no download URL for ${card.file}. Get the file (source: ${card.source}) and pass its folder with --from.`,
        { model: card.name, file: card.file },
      );
    }
    const known = fetches.get(file);
    if (known != null && known.isPack && known.sha256 === pack?.sha256) known.wanted.push(wanted);
    else {
      const { sha256, bytes = null } = pack ?? card;
      fetches.set(known == null ? file : card.name, {
        file,
        url,
        sha256,
        bytes,
        isPack: pack != null,
        wanted: [wanted],
      });
    }
  }
  return [...fetches.values()];
}

async function fetchFromNetwork(fetch: Fetch, options: PullOptions): Promise<PulledModel['state']> {
  const { modelsDir, onNotice } = options;
  const partPath = join(modelsDir, `${fetch.file}.part`);
  const { part, waited } = await lockPart(partPath, () =>
    onNotice?.(`waiting for another pull of ${fetch.file}`),
  );
  try {
    // The other pull has most likely fetched the file.
    if (waited && (await areThere(fetch, modelsDir))) {
      await removePart(partPath);
      return 'present';
    }
    try {
      await download(part, partPath, fetch, options);
      if (fetch.isPack) {
        await extract(partPath, fetch, modelsDir);
        await removePart(partPath);
      } else await publishPart(partPath, join(modelsDir, fetch.file));
      return 'pulled';
    } catch (error) {
      // A part that the next pull can resume is kept.
      const isResumable =
        error instanceof FaceError && error.code === 'MODEL_DOWNLOAD_FAILED' && (await part.stat()).size > 0;
      if (!isResumable) await removePart(partPath);
      throw error;
    }
  } finally {
    await part.close();
  }
}

/** Downloads, and starts over once if a file combined from several responses is wrong. */
async function download(
  part: FileHandle,
  partPath: string,
  fetch: Fetch,
  options: PullOptions,
): Promise<void> {
  const { file, url, bytes, isPack } = fetch;
  const source = {
    url: url as string,
    bytes,
    maxBytes: isPack ? MAX_PACK_BYTES : MAX_FILE_BYTES,
    allowHttp: options.mirrorUrl?.startsWith('http:') ?? false,
  };
  const events: DownloadEvents = {
    onBytes: (done, total) => options.onBytes?.(file, done, total),
    onNotice: (message) => options.onNotice?.(message),
  };
  const retryPolicy = { ...DEFAULT_RETRY_POLICY, ...options.retryPolicy };
  const { resumed } = await downloadFile(part, partPath, source, events, retryPolicy);
  // Read back from the disk: these are the bytes that will be loaded, whatever responses and processes they came from.
  let received = await sha256OfFile(partPath);
  if (received !== fetch.sha256 && resumed) {
    options.onNotice?.(`${file}: the resumed file does not match; downloading it from the beginning`);
    await part.truncate(0);
    await downloadFile(part, partPath, source, events, retryPolicy);
    received = await sha256OfFile(partPath);
  }
  if (received !== fetch.sha256) throw mismatch(fetch, received);
}

/** The lock belongs to the operating system and is released with the process, however it ends. */
async function lockPart(path: string, onWait: () => void): Promise<{ part: FileHandle; waited: boolean }> {
  for (let waited = false; ; waited = true) {
    const part = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
    // The previous owner of the lock may have renamed or removed the file.
    if (tryLock(part.fd) && (await isStill(part, path))) return { part, waited };
    await part.close();
    if (!waited) onWait();
    await sleep(LOCK_POLL_MS);
  }
}

async function isStill(file: FileHandle, path: string): Promise<boolean> {
  const [{ ino }, there] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
  return there?.ino === ino;
}

async function areThere({ wanted }: Fetch, modelsDir: string): Promise<boolean> {
  for (const { card } of wanted) {
    if (!(await isModelFile(join(modelsDir, card.file), card))) return false;
  }
  return true;
}

/** Takes the ONNX file, or its pack, from a folder. */
async function copy(fetch: Fetch, from: string, { modelsDir }: PullOptions): Promise<PulledModel['state']> {
  const packed: Wanted[] = [];
  for (const wanted of fetch.wanted) {
    const { card } = wanted;
    const path = join(from, card.file);
    if (await isFile(path)) {
      await writeAtomically(join(modelsDir, card.file), checked(createReadStream(path), card));
    } else if (fetch.isPack) packed.push(wanted);
    else throw notInFolder(fetch, card.file);
  }
  if (packed.length === 0) return 'pulled';
  const packPath = join(from, fetch.file);
  if (!(await isFile(packPath))) throw notInFolder(fetch, `${fetch.file} or ${packed[0].card.file}`);
  if ((await stat(packPath)).size > MAX_PACK_BYTES) {
    const message = `The pack ${fetch.file} cannot be used: it has more than ${MAX_PACK_BYTES} bytes.`;
    throw new FaceError('MODEL_ARCHIVE_INVALID', message, { file: fetch.file });
  }
  const received = await sha256OfFile(packPath);
  if (received !== fetch.sha256) throw mismatch(fetch, received);
  await extract(packPath, { ...fetch, wanted: packed }, modelsDir);
  return 'pulled';
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

function extract(packPath: string, { wanted }: Fetch, modelsDir: string): Promise<void> {
  return extractEntries(
    packPath,
    wanted.map(({ card }) => ({
      name: card.download?.pack?.entry as string,
      save: (content) => writeAtomically(join(modelsDir, card.file), checked(content, card)),
    })),
  );
}

/**
 * Passes on the content of an ONNX file, and throws before its end if it does not match the card.
 *
 * @throws {FaceError} MODEL_CHECKSUM_MISMATCH.
 */
async function* checked(
  content: AsyncIterable<Uint8Array>,
  card: Wanted['card'],
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > (card.bytes ?? Infinity)) throw checksumMismatch(card, card.file, { bytes: 'more' });
    hash.update(chunk);
    yield chunk;
  }
  const received = hash.digest('hex');
  if (received !== card.sha256) throw checksumMismatch(card, card.file, { sha256: received });
}

function mismatch({ file, sha256, wanted, isPack }: Fetch, received: string): FaceError {
  if (!isPack) return checksumMismatch(wanted[0].card, file, { sha256: received });
  const message = `Expected sha256 ${sha256} for the pack ${file} but it is ${received}.`;
  return new FaceError('MODEL_CHECKSUM_MISMATCH', message, { file, expected: sha256, received });
}

function notInFolder({ wanted }: Fetch, file: string): FaceError {
  const { name } = wanted[0].card;
  const message = `The folder given as --from has no file ${file}, which contains model ${name}.`;
  return new FaceError('MODEL_NOT_FOUND', message, { field: 'from', model: name, file });
}

/** Startup checks files against cards, so a hash given by the operator goes into a separate card. */
async function pinCard(card: ModelCard, path: string, modelsDir: string): Promise<void> {
  const folder = join(modelsDir, 'cards');
  await mkdir(folder, { recursive: true });
  const { size: bytes } = await stat(path);
  const json = `${JSON.stringify({ ...card, bytes }, null, 2)}\n`;
  await writeAtomically(join(folder, `${card.name}.json`), Buffer.from(json));
}
