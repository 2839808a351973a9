import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import { ARCHITECTURES } from '../model-tools/import/architectures';
import { importModel } from '../model-tools/import/import-model';
import { type Normalization, NORMALIZATIONS } from '../model-tools/import/normalizations';
import { type CommandSettings, folderForModels, readSettings } from './face-model';
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
      'Convert weights that DeepFace publishes (Keras, .h5) to a model: an ONNX file and its card in a models folder.',
    )
    .addArgument(
      new Argument('<architecture>', 'architecture of the weights').choices(Object.keys(ARCHITECTURES)),
    )
    .argument('<file>', 'the .h5 file')
    .addOption(
      new Option(
        '--normalization <name>',
        'pixel normalization by its DeepFace name; embedders only (default: base)',
      ).choices(Object.keys(NORMALIZATIONS)),
    )
    .option('--models-dir <folder>', 'target folder (default: the first writable folder of FACE_MODEL_DIRS)')
    .option('--force', 'replace an existing model of that name')
    .addOption(jsonOption())
    .action(importCommand);
}

async function importCommand(
  architecture: string,
  file: string,
  { normalization, modelsDir, force, json }: ImportCommandOptions,
): Promise<void> {
  const folder = modelsDir == null ? await firstWritable(readSettings()) : resolve(modelsDir);
  // Imported here: all other commands load the runtime in workers only.
  const { runOnce } = await import('../pipeline/tensor-session.js');
  // An interrupted import must not leave a temporary file of half a gigabyte.
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  let progress: Progress | undefined;
  let reported = 0;
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
      progress.add(mebibytes(done) - reported);
      reported = mebibytes(done);
    },
  });
  if (json) return printJson({ name: card.name, path, sha256: card.sha256, bytes: card.bytes });
  printLine(`${card.name}: ${path}, sha256 ${card.sha256}`);
}

const mebibytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);

/** The first folder that can be written or created; if there is none, the first one, whose error gives the reason. */
async function firstWritable(settings: CommandSettings): Promise<string> {
  const first = folderForModels(settings);
  for (const folder of settings.modelDirs) {
    if (await isWritable(folder)) return folder;
  }
  return first;
}

/** For a missing folder, its nearest existing parent decides. */
async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    return true;
  } catch (error) {
    const above = dirname(folder);
    return (error as NodeJS.ErrnoException).code === 'ENOENT' && above !== folder && isWritable(above);
  }
}
