import type { Command } from 'commander';
import { addGalleryCheckCommands } from './gallery-check.command';
import { addGalleryFileCommands } from './gallery-file.command';
import { addGalleryImportCommand } from './gallery-import.command';
import { addGalleryMigrateCommand } from './gallery-migrate.command';
import { addGalleryRekeyCommand } from './gallery-rekey.command';

export function addGalleryCommand(program: Command): void {
  const gallery = program
    .command('gallery')
    .description(
      'Fill, export and restore galleries of a running service; check or rekey the store of a stopped one.',
    );
  addGalleryImportCommand(gallery);
  addGalleryFileCommands(gallery);
  addGalleryMigrateCommand(gallery);
  addGalleryCheckCommands(gallery);
  addGalleryRekeyCommand(gallery);
}
