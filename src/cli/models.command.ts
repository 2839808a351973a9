import type { Command } from 'commander';
import { addModelsCheckCommand } from './models-check.command';
import { addModelsCompileCommand } from './models-compile.command';
import { addModelsListCommand } from './models-list.command';

export function addModelsCommand(program: Command): void {
  const models = program.command('models').description('List, compile and check model files.');
  addModelsListCommand(models);
  addModelsCompileCommand(models);
  addModelsCheckCommand(models);
}
