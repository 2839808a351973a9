import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { readStore } from '../face/model-files';
import { type PulledModel, pullModels } from '../model-tools/pull/pull-models';
import { folderForModels, readConfig, readSettings } from './face-model';
import { examples, jsonOption, type JsonOption } from './options';
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
      'Download model files to the first folder of FACE_MODEL_DIRS and check them against their cards. Interrupted downloads are resumed. Models of one pack that are named together are downloaded once.',
    )
    .argument('<names...>', 'model names, see "likeness models list"')
    .option('--from <folder>', 'read the files, or the packs that contain them, from a folder instead')
    .option('--accept-license', 'accept licenses that do not allow commercial use')
    .option('--force', 'download even if the correct file exists')
    .option('--sha256 <hex>', 'expected SHA-256 of the ONNX file, for one model whose card has none', sha256)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nFACE_MODEL_MIRROR_URL sets your own server as the source of files. HTTPS_PROXY, HTTP_PROXY and NO_PROXY are respected.\n' +
        examples(
          'likeness models pull yunet sface',
          'likeness models pull scrfd-10g arcface-w600k-r50 --accept-license',
        ),
    )
    .action(pull);
}

function sha256(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Expected 64 hexadecimal digits.');
}

async function pull(names: string[], { json, ...options }: PullCommandOptions): Promise<void> {
  const settings = readSettings();
  const bars = new Map<string, Progress>();
  const endBars = () => bars.forEach((bar) => bar.end());
  const pulled: PulledModel[] = [];
  try {
    const results = pullModels(names, await readStore(settings.modelDirs), {
      modelsDir: folderForModels(settings),
      mirrorUrl: readConfig().modelMirrorUrl,
      from: options.from == null ? null : resolve(options.from),
      force: options.force ?? false,
      acceptLicense: options.acceptLicense ?? false,
      sha256: options.sha256 ?? null,
      onBytes(file, done, total) {
        // Progress needs a total size.
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
          `${name}: ${state === 'pulled' ? 'pulled' : 'already present'}, license ${license.name}, ${path}`,
        );
    }
  } finally {
    endBars();
  }
  if (json) printJson({ models: pulled });
}
