import type { Command } from 'commander';
import type { ModelStatus } from '../face/face-model';
import { IDLE_TTL_RANGE } from '../face/face.options';
import { addServerOption, askServer, type ServerOption } from './server-client';
import { integer, jsonOption, type JsonOption } from './options';
import { printJson, printLine, withNotices } from './print';

type ChangeOptions = ServerOption & JsonOption;

/** Commands that change the models of a running service. */
export function addModelsChangeCommands(models: Command): void {
  const add = (usage: string, description: string) =>
    addServerOption(models.command(usage).description(description)).addOption(jsonOption());
  add('load <name>', 'Load and warm a model in a running service.')
    .option(
      '--idle-ttl-ms <ms>',
      'unload the model after this time without a call',
      integer(...IDLE_TTL_RANGE),
    )
    .action((name: string, { idleTtlMs, ...options }: ChangeOptions & { idleTtlMs?: number }) =>
      change('load', name, options, { idleTtlMs }),
    );
  add('warm <name>', 'Run a model of a running service once in every worker.').action(
    (name: string, options: ChangeOptions) => change('warm', name, options),
  );
  add('unload <name>', 'Unload a model from a running service.').action(
    (name: string, options: ChangeOptions) => change('unload', name, options),
  );
  add('swap <name> <replacement>', 'Replace a loaded model with another one without downtime.').action(
    (name: string, replacement: string, options: ChangeOptions) =>
      change('swap', name, options, { replacement }),
  );
}

async function change(
  action: string,
  name: string,
  { json, server, apiKey }: ChangeOptions,
  body: object = {},
): Promise<void> {
  const path = `/admin/models/${encodeURIComponent(name)}/${action}`;
  const { model } = await withNotices(`waiting for ${server} to ${action} ${name}`, () =>
    askServer<{ model: ModelStatus }>({ server, apiKey }, 'POST', path, { body }),
  );
  if (json) printJson({ model });
  else printLine(`${model.name}: ${model.state}${model.isDefault ? ', default' : ''}`);
}
