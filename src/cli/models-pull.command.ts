import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { readStore } from '../face/model-files';
import { type PulledModel, pullModels } from '../model-tools/pull/pull-models';
import { readConfig, readSettings } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';
import { describeBytes, Progress } from './progress';

interface PullCommandOptions extends JsonOption {
  from?: string;
  acceptLicense?: boolean;
  force?: boolean;
  sha256?: string;
}

export function addModelsPullCommand(models: Command): void {
  models
    .command('pull')
    .description(
      'Download the files of models into the first of FACE_MODEL_DIRS, check them against their cards, and go on with what an ' +
        'interrupted pull left. Models of one pack are downloaded together where they are named together.',
    )
    .argument('<names...>', 'see "likeness models list"')
    .option('--from <folder>', 'take the files, or the packs they come in, from a folder instead')
    .option('--accept-license', 'for models whose license does not allow commercial use')
    .option('--force', 'also where the right file is there already')
    .option('--sha256 <hex>', 'of the ONNX file, for one model whose card pins none', sha256)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nFACE_MODEL_MIRROR_URL names a server of your own to take files from; HTTPS_PROXY, HTTP_PROXY and NO_PROXY are followed.',
    )
    .action(pull);
}

function sha256(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Expected 64 hexadecimal digits.');
}

async function pull(names: string[], { json, ...options }: PullCommandOptions): Promise<void> {
  const [modelsDir, ...others] = readSettings().modelDirs;
  const bars = new Map<string, Progress>();
  const endBars = () => bars.forEach((bar) => bar.end());
  const pulled: PulledModel[] = [];
  try {
    const results = pullModels(names, await readStore([modelsDir, ...others]), {
      modelsDir,
      mirrorUrl: readConfig().modelMirrorUrl,
      from: options.from == null ? null : resolve(options.from),
      force: options.force ?? false,
      acceptLicense: options.acceptLicense ?? false,
      sha256: options.sha256 ?? null,
      onBytes(file, done, total) {
        // Without a size there is nothing to tell how far it is.
        if (total == null) return;
        const bar = bars.get(file) ?? new Progress(file, total, process.stderr, describeBytes());
        bars.set(file, bar);
        bar.to(done);
      },
      onNotice(message) {
        endBars();
        process.stderr.write(`${message}\n`);
      },
    });
    for await (const model of results) {
      pulled.push(model);
      const { name, state, license, path } = model;
      if (!json)
        printLine(
          `${name}: ${state === 'pulled' ? 'pulled' : 'there already'}, license ${license.name}, ${path}`,
        );
    }
  } finally {
    endBars();
  }
  if (json) printJson({ models: pulled });
}
