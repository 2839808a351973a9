import { type Command, Option } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FaceError } from '../errors';
import { HEADER_FILE } from '../gallery/durable/folder-header';
import { DurableStore } from '../gallery/durable-store';
import { DEFAULT_GALLERY_DIR } from '../gallery/gallery.options';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine, withNotices } from './print';

interface FolderOptions extends JsonOption {
  dir: string;
}

/** Commands that open the folder of a durable store themselves: no service may have it open. */
export function addGalleryCheckCommands(gallery: Command): void {
  const add = (name: string) =>
    gallery
      .command(name)
      .addOption(
        new Option('--dir <folder>', 'folder of the durable store; its key is FACE_GALLERY_KEY')
          .env('FACE_GALLERY_DIR')
          .default(DEFAULT_GALLERY_DIR),
      )
      .addOption(jsonOption());
  add('check')
    .description(
      'Read all records of a durable store, and say how many are set aside because they cannot be read. Exit code 2 where ' +
        'some are.',
    )
    .action((options: FolderOptions) => openFolder(options, 'check'));
  add('repair')
    .description(
      'Remove what is set aside, for good. Bring the files back from a backup first where there is one.',
    )
    .action((options: FolderOptions) => openFolder(options, 'repair'));
}

async function openFolder({ dir, json }: FolderOptions, what: 'check' | 'repair'): Promise<void> {
  // To open a folder is to make it.
  if (!existsSync(join(dir, HEADER_FILE)))
    throw new FaceError('GALLERY_STORE_INVALID', 'The folder holds no galleries of a durable store.');
  const store = await withNotices(`reading ${dir}`, (tell) =>
    DurableStore.open({
      dir,
      key: process.env.FACE_GALLERY_KEY || undefined,
      threadCount: 0,
      precision: 'float32',
      acceptDamage: true,
      onProgress: ({ stage, done, total }) =>
        tell(`records ${stage === 'upgrade' ? 'upgraded: ' : ''}${done} of ${total}`),
    }),
  );
  try {
    const { asideCount } = store;
    if (what === 'repair') await store.removeAside();
    const removedCount = asideCount - store.asideCount;
    if (json) printJson({ asideCount: store.asideCount, removedCount });
    else if (what === 'repair') printLine(`Records removed: ${removedCount}.`);
    else printLine(`Records that cannot be read, or belong to none that can: ${asideCount}.`);
    if (store.asideCount > 0) process.exitCode = 2;
  } finally {
    await store.close();
  }
}
