import { type Command, InvalidArgumentError } from 'commander';
import type { AnalyzeResponseDto } from '../server/analysis/analysis.dto';
import { AnalysisService, type Analysis } from '../face/analysis.service';
import type { AnalyzeCallOptions } from '../face/face-model';
import { type AnalyzedFace, type Attribute, ATTRIBUTES } from '../pipeline/face.types';
import { aboutFile, readImage, withFaceModel } from './face-model';
import { addFaceListOptions, jsonOption, type JsonOption, presentationAttackOption } from './options';
import { countText, faceJson, faceText, printJson, printLine } from './print';

export function addAnalyzeCommand(program: Command): void {
  const command = program
    .command('analyze')
    .description('Estimate the age, gender, expression and race of the faces in a photo.')
    .argument('<image>', 'image file');
  addFaceListOptions(command)
    .option(
      '--attributes <names>',
      `comma-separated attributes to estimate: ${ATTRIBUTES.join(',')} (default: all of FACE_ATTRIBUTE_MODELS)`,
      attributeNames,
    )
    .addOption(presentationAttackOption())
    .addOption(jsonOption())
    .action(analyze);
}

function attributeNames(text: string): Attribute[] {
  const names = text.split(',').map((name) => name.trim());
  const isAttribute = (name: string): name is Attribute => (ATTRIBUTES as readonly string[]).includes(name);
  if (names.every(isAttribute)) return [...new Set(names)];
  throw new InvalidArgumentError(`Expected a comma-separated list of ${ATTRIBUTES.join(', ')}.`);
}

async function analyze(file: string, { json, ...options }: AnalyzeCallOptions & JsonOption): Promise<void> {
  const image = await readImage(file, 'image');
  const result = await withFaceModel({ ...options, attributes: true }, (model) =>
    aboutFile(file, 'image', new AnalysisService(model).analyze(image, options)),
  );
  if (json) printJson(analysisJson(result));
  else printAnalysis(file, result);
}

function analysisJson({
  faces,
  unalignedCount: _,
  ...image
}: Analysis): Omit<AnalyzeResponseDto, 'requestId'> {
  return { ...image, faces: faces.map((face) => ({ ...face, ...faceJson(face) })) };
}

function printAnalysis(file: string, { faces, faceCount }: Analysis): void {
  printLine(`${file}: ${countText(faces.length, faceCount)}`);
  for (const face of faces) {
    printLine(`  ${attributesText(face)}; ${faceText(face)}`);
  }
}

/** Each estimated attribute with its score. */
function attributesText(face: AnalyzedFace): string {
  const { age, gender, genderScores, expression, expressionScores, race, raceScores } = face;
  const scored = (label?: string, scores?: Readonly<Record<string, number>>) =>
    label == null || scores == null ? [] : [`${label} (${scores[label].toFixed(2)})`];
  return [
    ...(age == null ? [] : [`age ${age.toFixed(0)}`]),
    ...scored(gender, genderScores),
    ...scored(expression, expressionScores),
    ...scored(race, raceScores),
  ].join(', ');
}
