import type { Command } from 'commander';
import type { RepresentCallOptions } from '../face/face-model';
import { RepresentationService, type Representation } from '../face/representation.service';
import type { RepresentationDto } from '../server/representation/representation.dto';
import { answerImages } from './answer-images';
import { listImages } from './image-files';
import { addEngineOptions, type EngineOptions } from './image-task';
import {
  examples,
  addFaceListOptions,
  alignOption,
  embedderOption,
  imagesArgument,
  imagesJsonOption,
  type JsonOption,
} from './options';
import { countText, faceJson, faceText, printLine } from './print';

type RepresentOptions = RepresentCallOptions & EngineOptions & JsonOption;

export function addRepresentCommand(program: Command): void {
  const command = program
    .command('represent')
    .description('Compute embeddings for the faces in photos; --json prints all their numbers.')
    .addArgument(imagesArgument());
  addFaceListOptions(command).addOption(embedderOption()).addOption(alignOption());
  addEngineOptions(command, 'photos')
    .addOption(imagesJsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness represent photo.jpg --json',
        'likeness represent photos/ --face-selection best --json > embeddings.jsonl',
      ),
    )
    .action(represent);
}

async function represent(
  paths: string[],
  { json, server, apiKey, concurrency, ...options }: RepresentOptions,
): Promise<void> {
  await answerImages<RepresentationDto>(
    await listImages(paths),
    { json, server, apiKey, concurrency },
    {
      route: '/v1/represent',
      options,
      needs: options,
      local: (model) => {
        const service = new RepresentationService(model);
        return async ({ image }) => representationJson(await service.represent(image, options));
      },
    },
    printRepresentation,
  );
}

function representationJson({ embedder, faces, ...image }: Representation): RepresentationDto {
  return {
    ...image,
    faces: faces.map((face) => ({
      ...faceJson(face),
      embedding: Array.from(face.embedding),
      embeddingNorm: face.embeddingNorm,
    })),
    embedder: embedder.name,
    contract: embedder.contract,
    dimensions: embedder.dimensions,
  };
}

function printRepresentation(file: string, answer: RepresentationDto): void {
  const { faces, faceCount, embedder, contract, dimensions } = answer;
  const made = `${dimensions} numbers of ${embedder}, contract ${contract}`;
  printLine(`${file}: ${countText(faces.length, faceCount)}, each ${made}`);
  for (const face of faces) {
    const start = face.embedding.slice(0, 4).map((value) => value.toFixed(4));
    printLine(`  ${faceText(face)}, embedding ${start.join(', ')}, ...`);
  }
}
