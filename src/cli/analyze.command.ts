import type { Command } from 'commander';
import type { AnalyzeResponseDto } from '../analysis/analysis.dto';
import { AnalysisService, type Analysis } from '../face/analysis.service';
import type { FaceCallOptions } from '../face/face-model';
import { aboutFile, readImage, withFaceModel } from './face-model';
import { addFaceListOptions, jsonOption, type JsonOption } from './options';
import { countText, faceJson, faceText, printJson, printLine } from './print';

export function addAnalyzeCommand(program: Command): void {
  const command = program
    .command('analyze')
    .description('Estimate age, gender and expression of the faces of a photo.')
    .argument('<image>', 'image file');
  addFaceListOptions(command).addOption(jsonOption()).action(analyze);
}

async function analyze(file: string, { json, ...options }: FaceCallOptions & JsonOption): Promise<void> {
  const image = await readImage(file, 'image');
  const result = await withFaceModel({ ...options, attributes: true }, (model) =>
    aboutFile(file, 'image', new AnalysisService(model).analyze(image, options)),
  );
  if (json) printJson(analysisJson(result));
  else printAnalysis(file, result);
}

function analysisJson({ faces, ...image }: Analysis): Omit<AnalyzeResponseDto, 'requestId'> {
  return { ...image, faces: faces.map((face) => ({ ...face, ...faceJson(face) })) };
}

function printAnalysis(file: string, { faces, faceCount }: Analysis): void {
  printLine(`${file}: ${countText(faces.length, faceCount)}`);
  for (const face of faces) {
    const { age, gender, genderScores, expression, expressionScores } = face;
    printLine(
      `  age ${age.toFixed(0)}, ${gender} (${genderScores[gender].toFixed(2)}), ` +
        `${expression} (${expressionScores[expression].toFixed(2)}); ${faceText(face)}`,
    );
  }
}
