import type { Command } from 'commander';
import type { AppConfig } from '../server/config/app.config';
import { loadAppConfig } from '../server/config/load-app-config';
import { FaceError } from '../errors';
import { type Check, failure, ok } from './doctor/check';
import { checkExposure } from './doctor/check-exposure';
import { checkFolders } from './doctor/check-folders';
import { checkModels } from './doctor/check-models';
import { checkRuntime } from './doctor/check-runtime';
import { checkStore } from './doctor/check-store';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';

const CHECKS_FAILED = 1;
const LABELS: Record<Check['state'], string> = { ok: 'ok', warning: 'WARNING', failure: 'FAILURE' };

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('Check the environment of the service')
    .description(
      'Check the environment of `serve`: runtime, models, memory, folders, keys, exposure and gallery store. Changes nothing and prints no secrets. The exit code is 1 if a check fails.',
    )
    .addOption(jsonOption())
    .action(diagnose);
}

async function diagnose({ json }: JsonOption): Promise<void> {
  const checks = await allChecks();
  const isHealthy = checks.every(({ state }) => state !== 'failure');
  if (json) printJson({ ok: isHealthy, checks });
  else printChecks(checks);
  if (!isHealthy) process.exitCode = CHECKS_FAILED;
}

async function allChecks(): Promise<Check[]> {
  const runtime = await checkRuntime();
  const [settings, config] = readSettings();
  if (config == null) return [...runtime, settings];
  return [
    ...runtime,
    settings,
    ...(await checkModels(config)),
    ...(await checkFolders(config)),
    ...(await checkExposure(config)),
    await checkStore(config),
  ];
}

/** Settings of the whole service, PORT and HOST included, as `serve` reads them. */
function readSettings(): [Check, AppConfig | null] {
  try {
    return [ok('settings', 'The environment variables are valid.'), loadAppConfig(process.env)];
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    const advice =
      'Correct the variable; docs/configuration.md lists all variables. The other checks need valid settings.';
    return [failure('settings', error.message, advice), null];
  }
}

function printChecks(checks: readonly Check[]): void {
  const stateWidth = Math.max(...Object.values(LABELS).map(({ length }) => length));
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  for (const { state, name, message, advice } of checks) {
    const text = advice == null ? message : `${message} ${advice}`;
    printLine(`${LABELS[state].padEnd(stateWidth)}  ${name.padEnd(nameWidth)}  ${text}`);
  }
}
