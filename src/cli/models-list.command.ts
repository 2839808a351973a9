import type { Command } from 'commander';
import { onnxFileName, type StoredModel } from '../model-store/model-store';
import { readStore } from '../face/worker-face-model';
import { readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printTable } from './print';

export function addModelsListCommand(models: Command): void {
  models
    .command('list')
    .description('List every model with a card. Compilable files are made when they are first needed.')
    .addOption(jsonOption())
    .action(list);
}

async function list({ json }: JsonOption): Promise<void> {
  const store = await readStore(readSettings().modelDirs);
  const models = [...store.values()].map(describe);
  if (json) return printJson({ models });
  printTable(
    ['name', 'task', 'state', 'licence', 'commercial use', 'file'],
    models.map(({ name, task, state, license, file }) => [
      name,
      task,
      state,
      license.name,
      license.commercialUse ? 'yes' : 'no',
      file,
    ]),
  );
}

function describe({ card, path }: StoredModel) {
  const { name, title, task, family, license, source, sha256 = null } = card;
  const withoutFile = card.compiled ? 'compilable' : 'absent';
  const state = path == null ? withoutFile : 'available';
  return { name, title, task, family, state, license, file: onnxFileName(card), path, sha256, source };
}
