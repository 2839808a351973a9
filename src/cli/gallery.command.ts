import type { Command } from 'commander';
import { addGalleryFileCommands } from './gallery-file.command';
import { addGalleryImportCommand } from './gallery-import.command';

export function addGalleryCommand(program: Command): void {
  const gallery = program
    .command('gallery')
    .description('Fill, export and restore galleries of a running service.');
  addGalleryImportCommand(gallery);
  addGalleryFileCommands(gallery);
}
