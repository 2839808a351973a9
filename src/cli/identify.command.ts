import { type Command, InvalidArgumentError } from 'commander';
import { basename } from 'node:path';
import { FaceError } from '../errors';
import { TARGET_RANGE } from '../face/thresholds';
import type { IdentifyResponseDto } from '../server/galleries/identify.dto';
import { galleryOption, type GalleryOption, galleryPath } from './gallery-options';
import { addDetectorOptions, decimal, examples, integer, jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';
import { readInput } from './read-image';
import { addServerOption, askServer, type ServerOption } from './server-client';

interface IdentifyCommandOptions extends ServerOption, GalleryOption, JsonOption {
  [option: string]: unknown;
}

const NOBODY_KNOWN = 1;

export function addIdentifyCommand(program: Command): void {
  const command = program
    .command('identify')
    .summary('Find the people in a photo in a gallery of a running service')
    .description(
      'Identify the people in a photo against a gallery of a running service. Exit codes: 0 at least one is known, 1 nobody is known, 2 error.',
    )
    .argument('<probe>', 'image file, or - for standard input');
  addServerOption(addDetectorOptions(command, 'best'))
    .addOption(galleryOption())
    .option('--limit <count>', 'maximum number of candidates per face (default: 5)', integer(1, 100))
    .option(
      '--threshold <distance>',
      'maximum distance of a candidate, inclusive (default: that of the gallery)',
      decimal(0, 2),
    )
    .option(
      '--target-fpir <rate>',
      'maximum share of searches for unknown people that return a candidate, 1e-6 to 0.5 (default: that of the gallery)',
      decimal(...TARGET_RANGE),
    )
    .option('--filter <json>', 'subjects to search by metadata, for example {"department":"it"}', jsonText)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness identify door.jpg --gallery staff',
        `likeness identify group.jpg --gallery staff --face-selection all --filter '{"department":"it"}'`,
      ),
    )
    .action(identify);
}

async function identify(
  file: string,
  { json, server, apiKey, gallery, ...options }: IdentifyCommandOptions,
): Promise<void> {
  const form = new FormData();
  const { bytes } = await readInput(file, 'probe');
  form.append('probe', new Blob([new Uint8Array(bytes)]), basename(file));
  for (const [name, value] of Object.entries(options)) form.append(name, String(value));
  const path = `${galleryPath(gallery)}/identify`;
  const { requestId: _requestId, ...answer } = await askServer<IdentifyResponseDto>(
    { server, apiKey },
    'POST',
    path,
    { body: form },
  ).catch((error: unknown) => {
    const isOfImage = error instanceof FaceError && error.details.field === 'probe';
    throw isOfImage ? error.withDetails({ file }) : error;
  });
  if (answer.faces.every(({ unknown }) => unknown)) process.exitCode = NOBODY_KNOWN;
  if (json) printJson(answer);
  else printIdentification(answer);
}

function printIdentification({ faces, threshold }: Omit<IdentifyResponseDto, 'requestId'>): void {
  for (const { face, candidates, unknown } of faces) {
    const place = face == null ? '' : ` at (${Math.round(face.box.x)}, ${Math.round(face.box.y)})`;
    if (unknown) printLine(`face${place}: unknown, nobody within the threshold of ${threshold}`);
    for (const { rank, subjectId, distance, similarity } of candidates) {
      // A key can be restricted to results without distances.
      const measure =
        distance == null ? `similarity about ${similarity}` : `cosine distance ${distance.toFixed(4)}`;
      printLine(`face${place}: ${rank}. ${subjectId}, ${measure}`);
    }
  }
}

function jsonText(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw new InvalidArgumentError('Expected valid JSON.');
  }
}
