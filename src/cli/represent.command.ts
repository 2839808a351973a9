import type { Command } from 'commander';
import { FaceError } from '../errors';
import type { RepresentCallOptions } from '../face/face-model';
import { RepresentationService, type Representation } from '../face/representation.service';
import type {
  FailedItemDto,
  RepresentationDto,
  RepresentedItemDto,
} from '../server/representation/representation.dto';
import { aboutFile, readImage, withFaceModel } from './face-model';
import { addFaceListOptions, alignOption, embedderOption, jsonOption, type JsonOption } from './options';
import { countText, faceJson, faceText, printJson, printLine, withNotices } from './print';
import { errorJson, errorLine, EXIT_ERROR } from './report-error';

type Item = { file: string } & (RepresentedItemDto | FailedItemDto);

export function addRepresentCommand(program: Command): void {
  const command = program
    .command('represent')
    .description('Compute embeddings for the faces in photos; --json prints all their numbers.')
    .argument(
      '<image...>',
      'image files; if one of several fails, the others are still processed (exit code 2)',
    );
  addFaceListOptions(command)
    .addOption(embedderOption())
    .addOption(alignOption())
    .addOption(jsonOption())
    .action((files: string[], options: RepresentCallOptions & JsonOption) =>
      files.length === 1 ? representOne(files[0], options) : representAll(files, options),
    );
}

async function representOne(
  file: string,
  { json, ...options }: RepresentCallOptions & JsonOption,
): Promise<void> {
  const image = await readImage(file, 'image');
  const result = await withFaceModel(options, (model) =>
    aboutFile(file, 'image', new RepresentationService(model).represent(image, options)),
  );
  if (json) printJson(representationJson(result));
  else printRepresentation(file, result);
}

async function representAll(
  files: readonly string[],
  { json, ...options }: RepresentCallOptions & JsonOption,
): Promise<void> {
  const results: Item[] = [];
  await withFaceModel(options, async (model, { workerCount }) => {
    const service = new RepresentationService(model);
    const represent = async (file: string, index: number): Promise<Item> => {
      try {
        const image = await readImage(file, 'image');
        const result = await aboutFile(file, 'image', service.represent(image, options));
        if (!json) printRepresentation(file, result);
        return { index, file, ...representationJson(result) };
      } catch (error) {
        if (!(error instanceof FaceError)) throw error;
        process.exitCode = EXIT_ERROR;
        if (!json) process.stderr.write(`${errorLine(error)}\n`);
        return { index, file, error: errorJson(error) };
      }
    };
    await withNotices('representing images', async (tell) => {
      // One image per worker at a time: time in the queue would count toward the deadline.
      for (let start = 0; start < files.length; start += workerCount) {
        const batch = files.slice(start, start + workerCount);
        results.push(...(await Promise.all(batch.map((file, i) => represent(file, start + i)))));
        if (json) tell(`represented ${results.length} of ${files.length} images`);
      }
    });
  });
  if (json) printJson({ results });
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

function printRepresentation(file: string, { faces, faceCount, embedder }: Representation): void {
  const made = `${embedder.dimensions} numbers of ${embedder.name}, contract ${embedder.contract}`;
  printLine(`${file}: ${countText(faces.length, faceCount)}, each ${made}`);
  for (const face of faces) {
    const start = Array.from(face.embedding.subarray(0, 4), (value) => value.toFixed(4)).join(', ');
    printLine(`  ${faceText(face)}, embedding ${start}, ...`);
  }
}
