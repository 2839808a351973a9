import { type Command, Option } from 'commander';
import { FaceError } from '../errors';
import {
  VerificationService,
  type VerificationResult,
  type VerifyOptions,
} from '../face/verification.service';
import { TARGET_RANGE } from '../face/thresholds';
import { METRICS } from '../pipeline/face.types';
import type { VerifyResponseDto } from '../server/verification/verification.dto';
import { readImage, withFaceModel } from './face-model';
import {
  addDetectorOptions,
  alignOption,
  decimal,
  embedderOption,
  jsonOption,
  type JsonOption,
  presentationAttackOption,
} from './options';
import { faceJson, faceText, printJson, printLine } from './print';

const NOT_VERIFIED = 1;

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .description(
      'Verify whether two photos show the same person. Exit codes: 0 verified, 1 not verified, 2 error.',
    )
    .argument('<probe>', 'image file')
    .argument('<reference>', 'image file to compare the probe with');
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
    .addOption(jsonOption())
    .action(verify);
}

async function verify(
  probeFile: string,
  referenceFile: string,
  { json, ...options }: VerifyOptions & JsonOption,
): Promise<void> {
  const files = { probe: probeFile, reference: referenceFile };
  const probe = await readImage(files.probe, 'probe');
  const reference = await readImage(files.reference, 'reference');
  const result = await withFaceModel(options, async (model) => {
    try {
      return await new VerificationService(model).verify(probe, reference, options);
    } catch (error) {
      throw withFile(error, files);
    }
  });
  if (json) printJson(verificationJson(result));
  else printVerification(result, files);
  if (!result.verified) process.exitCode = NOT_VERIFIED;
}

/** Adds the file name to an error, which names only the side. */
function withFile(error: unknown, files: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof FaceError)) return error;
  const file = files[String(error.details.field)];
  return file == null ? error : error.withDetails({ file });
}

function verificationJson(result: VerificationResult): Omit<VerifyResponseDto, 'requestId'> {
  return {
    ...result,
    probe: result.probe && faceJson(result.probe),
    reference: result.reference && faceJson(result.reference),
  };
}

function printVerification(result: VerificationResult, files: Record<'probe' | 'reference', string>): void {
  const { verified, distance, threshold, metric, similarity, detector, embedder } = result;
  printLine(verified ? 'verified' : 'not verified');
  if (result.reason === 'no_face') printLine('no face was found in either photo');
  if (result.decision === 'review') printLine('near the threshold: needs review');
  const relation = distance <= threshold ? 'within' : 'over';
  printLine(`${metric} distance ${distance.toFixed(4)}, ${relation} the threshold of ${threshold}`);
  const rate = result.falseMatchRate;
  const often = rate == null ? '' : `, false match rate ${rate.toPrecision(2)}`;
  printLine(`similarity ${similarity.toFixed(4)}${often}`);
  for (const side of ['probe', 'reference'] as const) {
    const face = result[side];
    if (face != null) printLine(`${side} ${files[side]}: face of ${faceText(face)}`);
  }
  printLine(`detector ${detector ?? 'none'}, embedder ${embedder}`);
}
