import { type Command, Option } from 'commander';
import { FaceError } from '../errors';
import {
  VerificationService,
  type VerificationResult,
  type VerifyOptions as VerifyCallOptions,
} from '../face/verification.service';
import { TARGET_RANGE } from '../face/thresholds';
import { METRICS } from '../pipeline/face.types';
import { stdinTwice } from './image-files';
import { addEngineOptions, type EngineOptions, withImageTask } from './image-task';
import {
  addDetectorOptions,
  examples,
  alignOption,
  decimal,
  embedderOption,
  jsonOption,
  type JsonOption,
  presentationAttackOption,
} from './options';
import { faceJson, faceText, printJson, printLine } from './print';
import { readInput, STDIN } from './read-image';
import type { PairsFormat, PairsOptions, VerifyAnswer, VerifyTask } from './verify-pairs';

type VerifyOptions = VerifyCallOptions & EngineOptions & JsonOption & Partial<PairsOptions>;

const FORMATS = ['csv', 'jsonl'] as const satisfies readonly PairsFormat[];

const NOT_VERIFIED = 1;

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .summary('Compare two photos, or the pairs of a CSV file')
    .usage('[options] <probe> <reference>\n       likeness verify [options] --pairs <pairs.csv>')
    .description(
      'Verify whether two photos show the same person. Exit codes: 0 verified, 1 not verified, 2 error. With --pairs: 0 all pairs were compared, 2 some have errors.',
    )
    .argument('[probe]', 'image file, or - for standard input')
    .argument('[reference]', 'image file to compare the probe with, or -');
  addDetectorOptions(command, 'best')
    .addOption(embedderOption())
    .addOption(alignOption())
    .addOption(presentationAttackOption())
    .addOption(new Option('--metric <metric>', 'distance metric (default: cosine)').choices(METRICS))
    .option(
      '--threshold <distance>',
      'maximum distance of a match, inclusive (default: that of the embedder)',
      decimal(0),
    )
    .option(
      '--target-fmr <rate>',
      'false match rate to derive the threshold from, 1e-6 to 0.5; requires a calibrated embedder (default: FACE_TARGET_FMR)',
      decimal(...TARGET_RANGE),
    )
    .option(
      '--review-margin <distance>',
      'distance from the threshold within which a result needs review (default: FACE_REVIEW_MARGIN)',
      decimal(0),
    )
    .option(
      '--pairs <pairs.csv>',
      'verify every pair of a CSV file with the columns probe, reference and optionally id; its paths are relative to it',
    )
    .addOption(
      new Option(
        '--format <format>',
        'with --pairs: format of the results (default: csv, with --json jsonl)',
      ).choices(FORMATS),
    )
    .option('--out <file>', 'with --pairs: file to write the results to (default: stdout)');
  addEngineOptions(command, 'with --pairs: pairs')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness verify a.jpg b.jpg',
        'likeness verify - badge.jpg --json < door.jpg',
        'likeness verify a.jpg b.jpg --server https://faces.example.com',
        'likeness verify --pairs pairs.csv --out results.csv',
      ),
    )
    .action(verify);
}

async function verify(
  probeFile: string | undefined,
  referenceFile: string | undefined,
  { json, server, apiKey, concurrency, pairs, format, out, ...options }: VerifyOptions,
): Promise<void> {
  const engine = { server, apiKey, concurrency };
  const task: VerifyTask = {
    route: '/v1/verify',
    options,
    needs: options,
    local: (model) => {
      const service = new VerificationService(model);
      return async ({ probe, reference }) =>
        verificationJson(await service.verify(probe, reference, options));
    },
  };
  if (pairs != null) {
    if (probeFile != null) throw invalid('Expected either two images or --pairs, not both.');
    // Imported here: the CSV parser is for this form alone.
    const { verifyPairs } = await import('./verify-pairs.js');
    return verifyPairs({ pairs, format: format ?? (json ? 'jsonl' : 'csv'), out }, engine, task);
  }
  if (format != null || out != null)
    throw invalid(`Option --${out == null ? 'format' : 'out'} needs --pairs.`);
  if (probeFile == null || referenceFile == null) {
    throw invalid(`Missing required argument '${probeFile == null ? 'probe' : 'reference'}'`);
  }
  if (probeFile === STDIN && referenceFile === STDIN) throw stdinTwice();
  // Read before models are loaded: a missing file is reported at once.
  const probe = await readInput(probeFile, 'probe');
  const reference = await readInput(referenceFile, 'reference');
  const result = await withImageTask(engine, task, (ask) => ask({ probe, reference }));
  if (json) printJson(result);
  else printVerification(result, { probe: probeFile, reference: referenceFile });
  if (!result.verified) process.exitCode = NOT_VERIFIED;
}

function invalid(message: string): FaceError {
  return new FaceError('PARAMETER_INVALID', message);
}

function verificationJson(result: VerificationResult): VerifyAnswer {
  return {
    ...result,
    probe: result.probe && faceJson(result.probe),
    reference: result.reference && faceJson(result.reference),
  };
}

function printVerification(result: VerifyAnswer, files: Record<'probe' | 'reference', string>): void {
  const { verified, distance, threshold, metric, similarity, detector, embedder } = result;
  printLine(verified ? 'verified' : 'not verified');
  if (result.reason === 'no_face') printLine('no face was found in either photo');
  if (result.decision === 'review') printLine('near the threshold: needs review');
  if (distance != null) {
    const relation = distance <= threshold ? 'within' : 'over';
    printLine(`${metric} distance ${distance.toFixed(4)}, ${relation} the threshold of ${threshold}`);
  }
  const rate = result.falseMatchRate;
  const often = rate == null ? '' : `, false match rate ${rate.toPrecision(2)}`;
  printLine(`similarity ${distance == null ? `about ${similarity}` : similarity.toFixed(4)}${often}`);
  for (const side of ['probe', 'reference'] as const) {
    const face = result[side];
    if (face != null) printLine(`${side} ${files[side]}: face of ${faceText(face)}`);
  }
  printLine(`detector ${detector ?? 'none'}, embedder ${embedder}`);
}
