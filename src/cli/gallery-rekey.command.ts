import { type Command, Option } from 'commander';
import { readFile } from 'node:fs/promises';
import { loadAppConfig } from '../server/config/load-app-config';
import { secretProblem } from '../server/config/read-variable';
import { FaceError } from '../errors';
import { rekeyFolder } from '../gallery/stores/durable/rekey-folder';
import { rekeyStream } from '../gallery/stores/jetstream/rekey-stream';
import { folderOption, type FolderOption, galleryKey, requireFolder } from './gallery-options';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';

interface RekeyOptions extends FolderOption, JsonOption {
  store: 'durable' | 'jetstream';
  newKeyFile?: string;
  removeKey?: boolean;
}

/** Keys are never taken from options: every user of the machine can read the arguments of a process. */
export function addGalleryRekeyCommand(gallery: Command): void {
  gallery
    .command('rekey')
    .description(
      'Change the key of a durable or jetstream store. FACE_GALLERY_KEY is the current key (unset: not encrypted), FACE_GALLERY_NEW_KEY the new one. Records are not rewritten. For jetstream, the FACE_GALLERY_NATS_* variables apply, and replicas can run meanwhile.',
    )
    .addOption(
      new Option('--store <store>', 'store of the galleries')
        .choices(['durable', 'jetstream'])
        .default(configuredStore(), 'FACE_GALLERY_STORE, otherwise durable'),
    )
    .addOption(folderOption())
    .option('--new-key-file <file>', 'file with the new key (default: FACE_GALLERY_NEW_KEY)')
    .addOption(
      new Option(
        '--remove-key',
        'remove the key: anyone who can read the folder can then read all subject ids and embeddings',
      ).conflicts('newKeyFile'),
    )
    .addOption(jsonOption())
    .action(rekey);
}

async function rekey({ store, dir, newKeyFile, removeKey, json }: RekeyOptions): Promise<void> {
  if (store === 'durable') requireFolder(dir);
  const newKey = await readNewKey(newKeyFile);
  if (removeKey && newKey != null)
    throw new FaceError('PARAMETER_INVALID', '--remove-key and FACE_GALLERY_NEW_KEY cannot be combined.');
  if (!removeKey && newKey == null)
    throw new FaceError(
      'PARAMETER_INVALID',
      'FACE_GALLERY_NEW_KEY, --new-key-file or --remove-key is required.',
    );
  const isEncrypted = newKey != null;
  if (store === 'durable') await rekeyFolder(dir, galleryKey(), newKey);
  else if (isEncrypted) await rekeyStream(loadAppConfig(process.env).gallery.nats, galleryKey(), newKey);
  else throw new FaceError('PARAMETER_INVALID', 'A jetstream store requires a key.');
  if (json) printJson({ isEncrypted });
  else if (isEncrypted)
    printLine('The key was changed. Set FACE_GALLERY_KEY to the new key before the service starts again.');
  else
    printLine(
      'The key was removed: anyone who can read the folder can now read all subject ids and embeddings. Unset FACE_GALLERY_KEY before you start the service.',
    );
}

function configuredStore(): RekeyOptions['store'] {
  return process.env.FACE_GALLERY_STORE === 'jetstream' ? 'jetstream' : 'durable';
}

/** @throws {FaceError} PARAMETER_INVALID for a key that the service would reject, or an unreadable file. */
async function readNewKey(file: string | undefined): Promise<string | undefined> {
  const key = file == null ? process.env.FACE_GALLERY_NEW_KEY || undefined : await readKeyFile(file);
  const problem = key == null ? null : secretProblem('FACE_GALLERY_NEW_KEY', key);
  if (problem == null) return key;
  const name = file == null ? 'FACE_GALLERY_NEW_KEY' : 'The key in --new-key-file';
  throw new FaceError('PARAMETER_INVALID', `${name} ${problem}.`);
}

async function readKeyFile(file: string): Promise<string> {
  try {
    // Editors and `echo` end a file with a line break, which $(cat file) removes too.
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new FaceError(
      'PARAMETER_INVALID',
      `The file of --new-key-file cannot be read: ${code}.`,
      { file },
      { cause },
    );
  }
}
