import { type Command, InvalidArgumentError, Option } from 'commander';
import { FACE_OPTION_RANGES } from '../face/face.options';
import { FACE_SELECTIONS, PRESENTATION_ATTACK_POLICIES, WHOLE_IMAGE_MODES } from '../pipeline/face.types';

/** Option `--json`, of every command that answers with data. */
export interface JsonOption {
  json?: boolean;
}

export function jsonOption(): Option {
  return new Option('--json', 'one JSON document on stdout, errors included; nothing else there');
}

/** Reader of a decimal number in [min, max]. */
export function decimal(min: number, max = Infinity): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Infinity ? `Expected a number of at least ${min}.` : `Expected a number in [${min}, ${max}].`,
    );
  };
}

/** Reader of an integer in [min, max]. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    if (/^\d+$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`Expected an integer in [${min}, ${max}].`);
  };
}

/** Options of every command that looks for faces. */
export function addDetectorOptions(command: Command, defaultSelection: string): Command {
  return command
    .option('--detector <name>', 'detector, see "likeness models list" (default: first of FACE_DETECTORS)')
    .addOption(
      new Option('--face-selection <which>', `which faces count (default: ${defaultSelection})`).choices(
        FACE_SELECTIONS,
      ),
    )
    .option(
      '--min-detection-score <score>',
      'faces below are passed over, 0 to 1 (default: that of the detector)',
      decimal(0, 1),
    )
    .addOption(
      new Option(
        '--whole-image <when>',
        'when the whole image is taken for the one face; always: no detector is run (default: never)',
      ).choices(WHOLE_IMAGE_MODES),
    )
    .option('--no-auto-rotate', 'take photos as they are, do not try whether they have to be turned');
}

/** Options of the commands that answer with a list of faces. */
export function addFaceListOptions(command: Command): Command {
  return addDetectorOptions(command, 'all')
    .option(
      '--max-faces <count>',
      'at most this many, largest first (default and bound: FACE_MAX_FACES)',
      integer(...FACE_OPTION_RANGES.maxFaces),
    )
    .option(
      '--min-face-size <pixels>',
      'faces with a shorter box side under this are passed over (default: 0)',
      decimal(0),
    );
}

export function presentationAttackOption(): Option {
  return new Option(
    '--presentation-attack <policy>',
    'report a score for each face, or require that each is genuine, by FACE_PRESENTATION_ATTACK_MODELS (default: FACE_PRESENTATION_ATTACK)',
  ).choices(PRESENTATION_ATTACK_POLICIES);
}

export function alignOption(): Option {
  return new Option(
    '--no-align',
    'cut faces out by their boxes, do not turn them; has a contract of its own',
  );
}

export function embedderOption(): Option {
  return new Option(
    '--embedder <name>',
    'embedder, see "likeness models list" (default: first of FACE_EMBEDDERS)',
  );
}
