import type { Command } from 'commander';
import { addModelsChangeCommands } from './models-change.command';
import { addModelsCheckCommand } from './models-check.command';
import { addModelsCompileCommand } from './models-compile.command';
import { addModelsImportCommand } from './models-import.command';
import { addModelsListCommand } from './models-list.command';
import { addModelsPullCommand } from './models-pull.command';

export function addModelsCommand(program: Command): void {
  const models = program
    .command('models')
    .description(
      'List, compile, pull, import and check model files; load, warm, unload and swap models of a running service.',
    );
  addModelsListCommand(models);
  addModelsCompileCommand(models);
  addModelsPullCommand(models);
  addModelsImportCommand(models);
  addModelsCheckCommand(models);
  addModelsChangeCommands(models);
}
