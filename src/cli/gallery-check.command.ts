import type { Command } from 'commander';
import { DurableStore } from '../gallery/stores/durable-store';
import { folderOption, type FolderOption, galleryKey, requireFolder } from './gallery-options';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine, withNotices } from './print';

type FolderOptions = FolderOption & JsonOption;

/** Commands that open the folder of a durable store directly, which no service may have open. */
export function addGalleryCheckCommands(gallery: Command): void {
  const add = (name: string) => gallery.command(name).addOption(folderOption()).addOption(jsonOption());
  add('check')
    .description(
      'Read all records of a durable store and count the unreadable ones, which are set aside. The exit code is 2 if there are any.',
    )
    .action((options: FolderOptions) => openFolder(options, 'check'));
  add('repair')
    .description(
      'Permanently remove the records that were set aside. If there is a backup, restore the files first.',
    )
    .action((options: FolderOptions) => openFolder(options, 'repair'));
}

async function openFolder({ dir, json }: FolderOptions, what: 'check' | 'repair'): Promise<void> {
  requireFolder(dir);
  const store = await withNotices(`reading ${dir}`, (tell) =>
    DurableStore.open({
      dir,
      key: galleryKey(),
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
    else printLine(`Records set aside, unreadable or without a readable parent: ${asideCount}.`);
    if (store.asideCount > 0) process.exitCode = 2;
  } finally {
    await store.close();
  }
}
