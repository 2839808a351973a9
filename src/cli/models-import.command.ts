import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import { ARCHITECTURES } from '../model-tools/import/architectures';
import { importModel } from '../model-tools/import/import-model';
import { type Normalization, NORMALIZATIONS } from '../model-tools/import/normalizations';
import { readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';
import { Progress } from './progress';

interface ImportCommandOptions extends JsonOption {
  normalization?: Normalization;
  modelsDir?: string;
  force?: boolean;
}

export function addModelsImportCommand(models: Command): void {
  models
    .command('import')
    .description(
      'Make a model of the weights that DeepFace publishes (Keras, .h5): an ONNX file and its card in a models folder.',
    )
    .addArgument(
      new Argument('<architecture>', 'what the weights are of').choices(Object.keys(ARCHITECTURES)),
    )
    .argument('<file>', 'the .h5 file')
    .addOption(
      new Option(
        '--normalization <name>',
        'of the pixels, by its name in DeepFace; embedders only (default: base)',
      ).choices(Object.keys(NORMALIZATIONS)),
    )
    .option(
      '--models-dir <folder>',
      'where it is put (default: the first of FACE_MODEL_DIRS that can be written)',
    )
    .option('--force', 'replace the model of that name')
    .addOption(jsonOption())
    .action(importCommand);
}

async function importCommand(
  architecture: string,
  file: string,
  { normalization, modelsDir, force, json }: ImportCommandOptions,
): Promise<void> {
  const folder = modelsDir == null ? await firstWritable(readSettings().modelDirs) : resolve(modelsDir);
  // Loaded here and not with the program: other commands leave the runtime to the workers.
  const { runOnce } = await import('../pipeline/tensor-session.js');
  // Without it, half a gigabyte under a temporary name would stay behind.
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  let progress: Progress | undefined;
  let told = 0;
  const { card, path } = await importModel({
    name: architecture,
    architecture: ARCHITECTURES[architecture],
    file: resolve(file),
    folder,
    normalization,
    force,
    run: runOnce,
    signal: stop.signal,
    onProgress: (done, total) => {
      progress ??= new Progress('MiB of weights', mebibytes(total));
      progress.add(mebibytes(done) - told);
      told = mebibytes(done);
    },
  });
  if (json) return printJson({ name: card.name, path, sha256: card.sha256, bytes: card.bytes });
  printLine(`${card.name}: ${path}, sha256 ${card.sha256}`);
}

const mebibytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);

/** The first folder that can be written, or that can be made; the first of all where none can, which tells why. */
async function firstWritable(folders: readonly string[]): Promise<string> {
  for (const folder of folders) {
    if (await isWritable(folder)) return folder;
  }
  return folders[0];
}

/** Of a folder that is not there, the nearest one above counts. */
async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    return true;
  } catch (error) {
    const above = dirname(folder);
    return (error as NodeJS.ErrnoException).code === 'ENOENT' && above !== folder && isWritable(above);
  }
}
