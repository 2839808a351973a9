import type { ImageFiles } from './image-files';
import { type Ask, type EngineOptions, type ImageTask, isOfImage, withImageTask } from './image-task';
import { mapInOrder } from './map-in-order';
import type { JsonOption } from './options';
import { printJson, printLine } from './print';
import { Progress } from './progress';
import { type NamedImage, readInput } from './read-image';
import { errorJson, errorLine, EXIT_ERROR } from './report-error';
import type { FaceError } from '../errors';

/** Prints the answer for an image. */
type Print<Answer> = (file: string, answer: Answer) => void;

/**
 * Answers for each image of a command line, in order. A single image is answered with one JSON document or throws; of a
 * list each image gets one line of JSON, and an error does not stop the others (exit code 2).
 *
 * @param finish - runs before the answer for a single image is printed.
 */
export async function answerImages<Answer extends object>(
  { files, isList }: ImageFiles,
  { json, ...engine }: EngineOptions & JsonOption,
  task: ImageTask<'image', Answer>,
  print: Print<Answer>,
  finish?: (image: NamedImage, answer: Answer) => Promise<void>,
): Promise<void> {
  if (isList) {
    const needs = { ...task.needs, isBatch: true };
    await withImageTask(engine, { ...task, needs }, (ask, atATime) =>
      answerAll(files, ask, atATime, print, json),
    );
    return;
  }
  // Read before models are loaded: a missing file is reported at once.
  const image = await readInput(files[0], 'image');
  const answer = await withImageTask(engine, task, async (ask) => {
    const received = await ask({ image });
    await finish?.(image, received);
    return received;
  });
  if (json) printJson(answer);
  else print(image.file, answer);
}

async function answerAll<Answer extends object>(
  files: readonly string[],
  ask: Ask<'image', Answer>,
  atATime: number,
  print: Print<Answer>,
  json = false,
): Promise<void> {
  // On a terminal the answers themselves show the progress.
  const progress =
    process.stderr.isTTY && !process.stdout.isTTY ? new Progress('images', files.length) : null;
  const answer = async (file: string): Promise<{ file: string; result: Answer | FaceError }> => {
    try {
      return { file, result: await ask({ image: await readInput(file, 'image') }) };
    } catch (error) {
      if (!isOfImage(error)) throw error;
      return { file, result: error };
    }
  };
  for await (const { file, result } of mapInOrder(files, atATime, answer)) {
    const error = isOfImage(result) ? result : null;
    if (error != null) process.exitCode = EXIT_ERROR;
    if (json)
      printLine(JSON.stringify(error == null ? { file, ...result } : { file, error: errorJson(error) }));
    else if (error == null) print(file, result as Answer);
    else {
      progress?.end();
      process.stderr.write(`${errorLine(error)}\n`);
    }
    progress?.add(1);
  }
}
