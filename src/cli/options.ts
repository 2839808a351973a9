import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { FaceError } from '../errors';
import { FACE_OPTION_RANGES } from '../face/face.options';
import { FACE_SELECTIONS, PRESENTATION_ATTACK_POLICIES, WHOLE_IMAGE_MODES } from '../pipeline/face.types';

/** Option `--json`, of every command that answers with data. */
export interface JsonOption {
  json?: boolean;
}

export function jsonOption(): Option {
  return new Option('--json', 'write one JSON document to stdout, errors included, and nothing else');
}

/** {@link jsonOption} of the commands that answer for each of several images. */
export function imagesJsonOption(): Option {
  return new Option(
    '--json',
    'write JSON to stdout, errors included, and nothing else: a document for one image, a line for each of several',
  );
}

export function imagesArgument(): Argument {
  return new Argument(
    '<image...>',
    'image files, folders (all their images), or - for standard input; if one of several fails, the others are still processed (exit code 2)',
  );
}

/** Examples for the end of the help of a command. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

/** Parses a decimal number in [min, max]. */
export function decimal(min: number, max = Infinity): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Infinity ? `Expected a number of at least ${min}.` : `Expected a number in [${min}, ${max}].`,
    );
  };
}

/** Parses an integer in [min, max]. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    if (/^\d+$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`Expected an integer in [${min}, ${max}].`);
  };
}

/** Options of every command that detects faces. */
export function addDetectorOptions(command: Command, defaultSelection: string): Command {
  return command
    .option('--detector <name>', 'detector, see "likeness models list" (default: first of FACE_DETECTORS)')
    .addOption(
      new Option(
        '--face-selection <which>',
        `selection among several faces (default: ${defaultSelection})`,
      ).choices(FACE_SELECTIONS),
    )
    .option(
      '--min-detection-score <score>',
      'minimum detection score of a face, 0 to 1 (default: that of the detector)',
      decimal(0, 1),
    )
    .addOption(
      new Option(
        '--whole-image <when>',
        'when to treat the whole image as the face; always: no detector runs (default: never)',
      ).choices(WHOLE_IMAGE_MODES),
    )
    .option('--no-auto-rotate', 'do not detect and correct the rotation of photos');
}

/** Options of the commands that return a list of faces. */
export function addFaceListOptions(command: Command): Command {
  return addDetectorOptions(command, 'all')
    .option(
      '--max-faces <count>',
      'maximum number of faces, largest first (default and upper limit: FACE_MAX_FACES)',
      integer(...FACE_OPTION_RANGES.maxFaces),
    )
    .option(
      '--min-face-size <pixels>',
      'minimum length of the shorter box side of a face (default: 0)',
      decimal(0),
    );
}

export function presentationAttackOption(): Option {
  return new Option(
    '--presentation-attack <policy>',
    'score each face with FACE_PRESENTATION_ATTACK_MODELS, or require each one to be genuine (default: FACE_PRESENTATION_ATTACK)',
  ).choices(PRESENTATION_ATTACK_POLICIES);
}

export function alignOption(): Option {
  return new Option(
    '--no-align',
    'crop faces by their boxes without alignment; embeddings get their own contract',
  );
}

export function embedderOption(): Option {
  return new Option(
    '--embedder <name>',
    'embedder, see "likeness models list" (default: first of FACE_EMBEDDERS)',
  );
}

/** @param option - without its dashes; the file that it names cannot be written, because of `cause`. */
export function unwritable(file: string, option: string, cause: unknown): FaceError {
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
  return new FaceError(
    'PARAMETER_INVALID',
    `The file ${JSON.stringify(file)} given as --${option} cannot be written: ${code}.`,
    { fields: { [option]: code } },
    { cause },
  );
}
