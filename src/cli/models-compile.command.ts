import type { Command } from 'commander';
import { FaceError } from '../errors';
import { compileInto } from '../model-tools/compile/compile-models';
import { COMPILED_MODELS, DEFAULT_COMPILED_MODELS } from '../models/compiled-models';
import { readStore } from '../face/model-files';
import { folderForModels, readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine, withNotices } from './print';

interface CompileOptions extends JsonOption {
  force?: boolean;
}

interface CompileResult {
  name: string;
  path: string;
  /** False if the file already existed. */
  compiled: boolean;
  /** Milliseconds. */
  ms: number;
}

export function addModelsCompileCommand(models: Command): void {
  models
    .command('compile')
    .description('Compile models into the first of FACE_MODEL_DIRS.')
    .argument(
      '[names...]',
      `of ${Object.keys(COMPILED_MODELS).join(', ')} (default: ${DEFAULT_COMPILED_MODELS.join(', ')})`,
    )
    .option('--force', 'compile even if the file exists')
    .addOption(jsonOption())
    .action(compile);
}

async function compile(names: string[], { force, json }: CompileOptions): Promise<void> {
  const wanted = names.length > 0 ? [...new Set(names)] : DEFAULT_COMPILED_MODELS;
  wanted.forEach(assertCompilable);
  const settings = readSettings();
  const folder = folderForModels(settings);
  const store = await readStore(settings.modelDirs);
  const results: CompileResult[] = [];
  await withNotices('compiling models', async (tell) => {
    for (const name of wanted) {
      const present = force ? null : (store.get(name)?.path ?? null);
      const result = present == null ? await compileNow(folder, name) : thereAlready(name, present);
      results.push(result);
      const line = `${name}: ${result.compiled ? `compiled in ${result.ms} ms` : 'already present'}, ${result.path}`;
      if (json) tell(line);
      else printLine(line);
    }
  });
  if (json) printJson({ models: results });
}

function assertCompilable(name: string): void {
  if (Object.hasOwn(COMPILED_MODELS, name)) return;
  const available = Object.keys(COMPILED_MODELS);
  throw new FaceError(
    'MODEL_UNKNOWN',
    `Expected a compiled model but received ${JSON.stringify(name)}. Known: ${available.join(', ')}.`,
    { model: name, available },
  );
}

function thereAlready(name: string, path: string): CompileResult {
  return { name, path, compiled: false, ms: 0 };
}

async function compileNow(folder: string, name: string): Promise<CompileResult> {
  const start = performance.now();
  const path = await compileInto(folder, name);
  return { name, path, compiled: true, ms: Math.round(performance.now() - start) };
}
