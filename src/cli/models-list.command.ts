import { type Command, Option } from 'commander';
import type { ModelStatus } from '../face/face-model';
import { onnxFileName, type StoredModel } from '../models/model-store';
import { readStore } from '../face/model-files';
import { apiKeyOption, askServer, type ServerOption } from './server-client';
import { readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printTable } from './print';

export function addModelsListCommand(models: Command): void {
  models
    .command('list')
    .description('List every model that has a card, and the state of its file.')
    .addOption(
      new Option(
        '--server <url>',
        'list the models of a running service, with loads, memory, runs and latency; requires a key with the scope admin',
      ),
    )
    .addOption(apiKeyOption())
    .addOption(jsonOption())
    .action(list);
}

async function list({ json, server, apiKey }: JsonOption & Partial<ServerOption>): Promise<void> {
  if (server != null) return listOfServer({ server, apiKey }, json);
  const store = await readStore(readSettings().modelDirs);
  const models = [...store.values()].map(describe);
  if (json) return printJson({ models });
  printTable(
    ['name', 'task', 'state', 'license', 'commercial use', 'file'],
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

async function listOfServer(server: ServerOption, json?: boolean): Promise<void> {
  const { models } = await askServer<{ models: ModelStatus[] }>(server, 'GET', '/admin/models');
  if (json) return printJson({ models });
  const mebibytes = (bytes: number | null) => (bytes == null ? '-' : (bytes / 2 ** 20).toFixed(1));
  printTable(
    ['name', 'task', 'state', 'default', 'loads', 'own MiB', 'shared MiB', 'runs', 'p50 ms', 'p99 ms'],
    models.map(({ name, task, state, isDefault, loads, memoryBytes, sharedBytes, runs, runMs }) => [
      name,
      task,
      state,
      isDefault ? 'yes' : 'no',
      String(loads),
      mebibytes(memoryBytes),
      mebibytes(sharedBytes),
      String(runs),
      runMs?.p50.toFixed(1) ?? '-',
      runMs?.p99.toFixed(1) ?? '-',
    ]),
  );
}

function describe({ card, path }: StoredModel) {
  const { name, title, task, family, license, trainingData = null, source, sha256 = null } = card;
  const withoutFile = card.compiled ? 'compilable' : 'absent';
  const state = path == null ? withoutFile : 'available';
  return {
    name,
    title,
    task,
    family,
    state,
    license,
    trainingData,
    file: onnxFileName(card),
    path,
    sha256,
    source,
  };
}
