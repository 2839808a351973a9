import type { Command } from 'commander';
import { addGalleryCheckCommands } from './gallery-check.command';
import { addGalleryFileCommands } from './gallery-file.command';
import { addGalleryImportCommand } from './gallery-import.command';
import { addGalleryMigrateCommand } from './gallery-migrate.command';

export function addGalleryCommand(program: Command): void {
  const gallery = program
    .command('gallery')
    .description(
      'Fill, export and restore galleries of a running service; check the folder of one that is not running.',
    );
  addGalleryImportCommand(gallery);
  addGalleryFileCommands(gallery);
  addGalleryMigrateCommand(gallery);
  addGalleryCheckCommands(gallery);
}
