import { access, constants, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readKeyFile } from '../../server/http/auth/key-file';
import type { AppConfig } from '../../server/config/app.config';
import { FaceError } from '../../errors';
import { PACKAGE_MODELS_DIR } from '../../face/face.options';
import { PREPARED_DIR } from '../../models/prepared-model';
import { readReceiptKey } from '../../server/receipts/receipt-key';
import { type Check, failure, ok, reasonOf, warning } from './check';

const { R_OK, W_OK, X_OK } = constants;
/** Bits of a mode: others may write, others may do anything. */
const OTHERS_WRITE = 0o002;
const OTHERS = 0o007;
const GROUP_AND_OTHERS = 0o077;

/** Folders that the service reads and writes. */
export async function checkFolders({
  face,
  gallery,
  apiKeysFile,
  receiptKeyFile,
}: AppConfig): Promise<Check[]> {
  const checks = await Promise.all(
    face.modelDirs.map((dir, i) => checkModelDir(dir, i === 0 && face.prepareModels)),
  );
  if (gallery.store === 'durable') checks.push(await checkGalleryDir(gallery.dir, gallery.key != null));
  if (apiKeysFile != null) checks.push(await checkKeyFile(apiKeysFile));
  if (receiptKeyFile != null) checks.push(await checkReceiptKey(receiptKeyFile));
  return checks;
}

async function checkModelDir(dir: string, isWritten: boolean): Promise<Check> {
  const name = 'models folder';
  const shown = dir === PACKAGE_MODELS_DIR ? 'The models folder of the package' : `The folder ${dir}`;
  if (
    isWritten &&
    !(await exists(dir)) &&
    (await isAllowed(await nearestParent(resolve(dir)), W_OK | X_OK))
  ) {
    const advice = 'Correct FACE_MODEL_DIRS if you have models elsewhere.';
    return warning(name, `${shown} does not exist, and is made at the first start.`, advice);
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
  // A card in it decides which file is loaded, so who writes there decides what runs.
  for (const one of [dir, join(dir, 'cards'), join(dir, PREPARED_DIR)]) {
    if (await hasMode(one, OTHERS_WRITE)) {
      return failure(name, `${shown} can be written by every user.`, 'Take that away: chmod -R o-w.');
    }
  }
  if (!isWritten) return ok(name, `${shown} can be read.`);
  const prepared = join(dir, PREPARED_DIR);
  const written = (await exists(prepared)) ? prepared : dir;
  if (await isAllowed(written, W_OK)) return ok(name, `${shown} can be read and written.`);
  const advice = 'Let the user of the service write there, or put another folder first in FACE_MODEL_DIRS.';
  return warning(
    name,
    `${shown} cannot be written: new models are not prepared, and workers share no weights.`,
    advice,
  );
}

async function checkGalleryDir(dir: string, isEncrypted: boolean): Promise<Check> {
  const name = 'gallery folder';
  const shown = `The folder ${dir}`;
  if (!(await exists(dir))) {
    const parent = await nearestParent(resolve(dir));
    if (await isAllowed(parent, W_OK | X_OK)) return ok(name, `${shown} is made at the first start.`);
    return failure(
      name,
      `${shown} does not exist and cannot be made.`,
      'Make it for the user of the service.',
    );
  }
  if (!(await isAllowed(dir, R_OK | W_OK | X_OK))) {
    return failure(
      name,
      `${shown} cannot be read and written.`,
      'Give it to the user of the service: chown.',
    );
  }
  if (await hasMode(dir, OTHERS_WRITE)) {
    return failure(name, `${shown} can be written by every user.`, `Close it to others: chmod 700 ${dir}.`);
  }
  if (await hasMode(dir, OTHERS)) {
    return warning(name, `${shown} is open to other users.`, `Close it to them: chmod 700 ${dir}.`);
  }
  if (isEncrypted) return ok(name, `${shown} can be read and written; it is encrypted.`);
  const advice = 'Give it a key with `likeness gallery rekey`, or keep it on an encrypted disk.';
  return warning(name, `${shown} is not encrypted.`, advice);
}

/** Permissions, then entries, then those that have expired. */
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
    return warning(name, `Expired keys, which are refused: ${names}.`, advice);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(name, error.message, 'Correct the entry; docs/security.md lists the fields.');
  }
}

/** The key that signs receipts; the service makes it at its first start. */
async function checkReceiptKey(path: string): Promise<Check> {
  const name = 'receipt key';
  if (!(await exists(path))) {
    if (await isAllowed(dirname(resolve(path)), W_OK | X_OK)) {
      return ok(name, `The file ${path} is made at the first start.`);
    }
    const advice = 'Make its folder for the user of the service.';
    return failure(name, `The file ${path} does not exist and cannot be made.`, advice);
  }
  const check = await checkSecretFile(path, name);
  if (check.state === 'failure') return check;
  try {
    readReceiptKey(path);
    return check;
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return failure(name, error.message, 'Restore the file; without its key, old receipts cannot be checked.');
  }
}

/**
 * A file with secrets: the service alone may read it.
 *
 * @param path - as the operator gave it.
 * @param name - what it is.
 */
async function checkSecretFile(path: string, name: string): Promise<Check> {
  if (!(await isAllowed(path, R_OK))) {
    return failure(
      name,
      `The file ${path} cannot be read.`,
      'Correct its path, or give it to the user of the service.',
    );
  }
  if (await hasMode(path, GROUP_AND_OTHERS)) {
    return warning(name, `The file ${path} is open to other users.`, `Close it to them: chmod 600 ${path}.`);
  }
  return ok(name, `The file ${path} can be read by its owner only.`);
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

/** Whether any of these bits is set; false where there is no such file, and on Windows, where they mean nothing. */
async function hasMode(path: string, bits: number): Promise<boolean> {
  if (process.platform === 'win32') return false;
  return stat(path).then(
    ({ mode }) => (mode & bits) !== 0,
    () => false,
  );
}
