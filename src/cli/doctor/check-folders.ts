import { access, constants, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readKeyFile } from '../../server/http/auth/key-file';
import type { AppConfig } from '../../server/config/app.config';
import { FaceError } from '../../errors';
import { IS_INSTALLED, PACKAGE_MODELS_DIR } from '../../face/face.options';
import { PREPARED_DIR } from '../../models/prepared-model';
import { readReceiptKey } from '../../server/receipts/receipt-key';
import { type Check, failure, ok, reasonOf, warning } from './check';

const { R_OK, W_OK, X_OK } = constants;
/** Mode bits: write access for others, any access for others. */
const OTHERS_WRITE = 0o002;
const OTHERS = 0o007;
const GROUP_AND_OTHERS = 0o077;

/** Checks the folders that the service reads and writes. */
export async function checkFolders({
  face,
  gallery,
  apiKeysFile,
  receiptKeyFile,
}: AppConfig): Promise<Check[]> {
  const checks = await Promise.all(face.modelDirs.map((dir, i) => checkModelDir(dir, i === 0)));
  if (face.prepareModels) checks.push(await checkCacheDir(face.cacheDir));
  if (gallery.store === 'durable') checks.push(await checkGalleryDir(gallery.dir, gallery.key != null));
  if (apiKeysFile != null) checks.push(await checkKeyFile(apiKeysFile));
  if (receiptKeyFile != null) checks.push(await checkReceiptKey(receiptKeyFile));
  return checks;
}

async function checkModelDir(dir: string, isFirst: boolean): Promise<Check> {
  const name = 'models folder';
  const shown = dir === PACKAGE_MODELS_DIR ? 'The models folder of the package' : `The folder ${dir}`;
  if (isFirst && !(await exists(dir)) && (await canBeCreated(dir))) {
    if (IS_INSTALLED) return ok(name, `${shown} is created with the first model of your own.`);
    const advice = 'Correct FACE_MODEL_DIRS if your models are elsewhere.';
    return warning(name, `${shown} does not exist.`, advice);
  }
  try {
    await access(dir, R_OK | X_OK);
  } catch (error) {
    return failure(
      name,
      `${shown} cannot be read: ${reasonOf(error)}.`,
      'Correct FACE_MODEL_DIRS or its permissions.',
    );
  }
  // Cards decide which files are loaded: whoever can write them can choose the code that runs.
  const problem = await writtenByOthers(name, shown, [dir, join(dir, 'cards')]);
  return problem ?? ok(name, `${shown} can be read.`);
}

async function checkCacheDir(dir: string | null): Promise<Check> {
  const name = 'cache folder';
  const advice =
    'Set FACE_CACHE_DIR to a folder that the service user can write, or FACE_PREPARE_MODELS=off.';
  const effect = 'new models are not prepared, and workers do not share weights';
  if (dir == null) return warning(name, `The user has no home folder for a cache: ${effect}.`, advice);
  const shown = `The folder ${dir}`;
  const prepared = join(dir, PREPARED_DIR);
  // Workers load the graphs in it.
  const problem = await writtenByOthers(name, shown, [dir, prepared]);
  if (problem != null) return problem;
  const isWritable = (await exists(prepared))
    ? await isAllowed(prepared, W_OK | X_OK)
    : (await isAllowed(dir, W_OK | X_OK)) || (!(await exists(dir)) && (await canBeCreated(dir)));
  return isWritable
    ? ok(name, `${shown} can be written.`)
    : warning(name, `${shown} cannot be written: ${effect}.`, advice);
}

/** The failure where every user of the machine can write one of these folders. */
async function writtenByOthers(
  name: string,
  shown: string,
  folders: readonly string[],
): Promise<Check | null> {
  for (const folder of folders) {
    if (await hasMode(folder, OTHERS_WRITE)) {
      return failure(name, `${shown} can be written by every user.`, 'Remove that permission: chmod -R o-w.');
    }
  }
  return null;
}

async function canBeCreated(dir: string): Promise<boolean> {
  return isAllowed(await nearestParent(resolve(dir)), W_OK | X_OK);
}

async function checkGalleryDir(dir: string, isEncrypted: boolean): Promise<Check> {
  const name = 'gallery folder';
  const shown = `The folder ${dir}`;
  if (!(await exists(dir))) {
    if (await canBeCreated(dir)) return ok(name, `${shown} is created at the first start.`);
    return failure(name, `${shown} does not exist and cannot be created.`, 'Create it for the service user.');
  }
  if (!(await isAllowed(dir, R_OK | W_OK | X_OK))) {
    return failure(name, `${shown} cannot be read or written.`, 'Make the service user its owner: chown.');
  }
  if (await hasMode(dir, OTHERS_WRITE)) {
    return failure(
      name,
      `${shown} can be written by every user.`,
      `Restrict it to its owner: chmod 700 ${dir}.`,
    );
  }
  if (await hasMode(dir, OTHERS)) {
    return warning(
      name,
      `${shown} is accessible to other users.`,
      `Restrict it to its owner: chmod 700 ${dir}.`,
    );
  }
  if (isEncrypted) return ok(name, `${shown} can be read and written, and is encrypted.`);
  const advice = 'Set a key with `likeness gallery rekey`, or keep the folder on an encrypted disk.';
  return warning(name, `${shown} is not encrypted.`, advice);
}

/** Checks permissions, then entries, then expiry. */
async function checkKeyFile(path: string): Promise<Check> {
  const name = 'API keys';
  const check = await checkSecretFile(path, name);
  if (check.state !== 'ok') return check;
  try {
    const expired = readKeyFile(path).filter(
      ({ apiKey: { expiresAt } }) => expiresAt != null && expiresAt <= Date.now(),
    );
    if (expired.length === 0) return check;
    const names = expired.map(({ apiKey }) => apiKey.name).join(', ');
    const advice = 'Remove them: likeness keys revoke <name>.';
    return warning(name, `The service refuses these expired keys: ${names}.`, advice);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(name, error.message, 'Correct the entry; docs/security.md lists the fields.');
  }
}

/** Checks the key that signs receipts, which the service creates at its first start. */
async function checkReceiptKey(path: string): Promise<Check> {
  const name = 'receipt key';
  if (!(await exists(path))) {
    if (await isAllowed(dirname(resolve(path)), W_OK | X_OK)) {
      return ok(name, `The file ${path} is created at the first start.`);
    }
    const advice = 'Create its folder for the service user.';
    return failure(name, `The file ${path} does not exist and cannot be created.`, advice);
  }
  const check = await checkSecretFile(path, name);
  if (check.state === 'failure') return check;
  try {
    readReceiptKey(path);
    return check;
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(
      name,
      error.message,
      'Restore the file: earlier receipts cannot be verified without its key.',
    );
  }
}

/**
 * Checks a file with secrets, which only the service may read.
 *
 * @param path - path as configured.
 * @param name - name of the check.
 */
async function checkSecretFile(path: string, name: string): Promise<Check> {
  if (!(await isAllowed(path, R_OK))) {
    return failure(
      name,
      `The file ${path} cannot be read.`,
      'Correct its path, or make the service user its owner.',
    );
  }
  if (await hasMode(path, GROUP_AND_OTHERS)) {
    return warning(
      name,
      `The file ${path} is accessible to other users.`,
      `Restrict it to its owner: chmod 600 ${path}.`,
    );
  }
  return ok(name, `The file ${path} is readable by its owner only.`);
}

async function nearestParent(path: string): Promise<string> {
  const parent = dirname(path);
  return parent === path || (await exists(parent)) ? parent : nearestParent(parent);
}

export function exists(path: string): Promise<boolean> {
  return isAllowed(path, constants.F_OK);
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

/** Whether any of these bits is set. False for a missing file, and on Windows, where the bits have no meaning. */
async function hasMode(path: string, bits: number): Promise<boolean> {
  if (process.platform === 'win32') return false;
  return stat(path).then(
    ({ mode }) => (mode & bits) !== 0,
    () => false,
  );
}
