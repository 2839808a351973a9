import { type Command, InvalidArgumentError } from 'commander';
import type { AnalyzedFaceDto, AnalyzeResponseDto } from '../server/analysis/analysis.dto';
import { AnalysisService, type Analysis } from '../face/analysis.service';
import type { AnalyzeCallOptions } from '../face/face-model';
import { type Attribute, ATTRIBUTES } from '../pipeline/face.types';
import { answerImages } from './answer-images';
import { listImages } from './image-files';
import { addEngineOptions, type EngineOptions } from './image-task';
import {
  examples,
  addFaceListOptions,
  imagesArgument,
  imagesJsonOption,
  type JsonOption,
  presentationAttackOption,
} from './options';
import { countText, faceJson, faceText, printLine } from './print';

type AnalyzeOptions = AnalyzeCallOptions & EngineOptions & JsonOption;

/** Faces of one image, as the service returns them. */
type AnalysisAnswer = Omit<AnalyzeResponseDto, 'requestId'>;

export function addAnalyzeCommand(program: Command): void {
  const command = program
    .command('analyze')
    .description('Estimate the age, gender, expression and race of the faces in photos.')
    .addArgument(imagesArgument());
  addFaceListOptions(command)
    .option(
      '--attributes <names>',
      `comma-separated attributes to estimate: ${ATTRIBUTES.join(',')} (default: all of FACE_ATTRIBUTE_MODELS)`,
      attributeNames,
    )
    .addOption(presentationAttackOption());
  addEngineOptions(command, 'photos')
    .addOption(imagesJsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness analyze photo.jpg --attributes age,gender',
        'likeness analyze photos/ --json > attributes.jsonl',
      ),
    )
    .action(analyze);
}

function attributeNames(text: string): Attribute[] {
  const names = text.split(',').map((name) => name.trim());
  const isAttribute = (name: string): name is Attribute => (ATTRIBUTES as readonly string[]).includes(name);
  if (names.every(isAttribute)) return [...new Set(names)];
  throw new InvalidArgumentError(`Expected a comma-separated list of ${ATTRIBUTES.join(', ')}.`);
}

async function analyze(
  paths: string[],
  { json, server, apiKey, concurrency, ...options }: AnalyzeOptions,
): Promise<void> {
  await answerImages<AnalysisAnswer>(
    await listImages(paths),
    { json, server, apiKey, concurrency },
    {
      route: '/v1/analyze',
      options,
      needs: { ...options, attributes: true },
      local: (model) => {
        const service = new AnalysisService(model);
        return async ({ image }) => analysisJson(await service.analyze(image, options));
      },
    },
    printAnalysis,
  );
}

function analysisJson({ faces, unalignedCount: _, ...image }: Analysis): AnalysisAnswer {
  return { ...image, faces: faces.map((face) => ({ ...face, ...faceJson(face) })) };
}

function printAnalysis(file: string, { faces, faceCount }: AnalysisAnswer): void {
  printLine(`${file}: ${countText(faces.length, faceCount)}`);
  for (const face of faces) {
    printLine(`  ${attributesText(face)}; ${faceText(face)}`);
  }
}

/** Each estimated attribute with its score. */
function attributesText(face: AnalyzedFaceDto): string {
  const { age, gender, genderScores, expression, expressionScores, race, raceScores } = face;
  const scored = <Label extends string>(label?: Label, scores?: Readonly<Record<Label, number>>) =>
    label == null || scores == null ? [] : [`${label} (${scores[label].toFixed(2)})`];
  return [
    ...(age == null ? [] : [`age ${age.toFixed(0)}`]),
    ...scored(gender, genderScores),
    ...scored(expression, expressionScores),
    ...scored(race, raceScores),
  ].join(', ');
}
