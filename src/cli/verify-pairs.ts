import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { FaceError } from '../errors';
import type { VerifyResponseDto } from '../server/verification/verification.dto';
import { type Ask, type EngineOptions, type ImageTask, isOfImage, withImageTask } from './image-task';
import { mapInOrder } from './map-in-order';
import { unwritable } from './options';
import { Progress } from './progress';
import { type NamedImage, readImage } from './read-image';
import { type Pair, readPairs } from './read-pairs';
import { errorJson, EXIT_ERROR } from './report-error';

/** Options of `likeness verify --pairs`. */
export interface PairsOptions {
  /** CSV file. */
  pairs: string;
  format: PairsFormat;
  /** @defaultValue stdout */
  out?: string;
}

export type PairsFormat = 'csv' | 'jsonl';

type Side = 'probe' | 'reference';

/** The result of a pair, as the service returns it; a key can be restricted to results without distances. */
export type VerifyAnswer = Omit<VerifyResponseDto, 'requestId' | 'distance'> & { distance: number | null };

export type VerifyTask = ImageTask<Side, VerifyAnswer>;

/** A pair with its result, or with the error of one of its images. */
type ComparedPair = Pair & ({ result: VerifyAnswer } | { error: FaceError });

/** Columns of the results, and how they are read. */
const COLUMNS: Readonly<Record<string, (pair: ComparedPair) => unknown>> = {
  id: ({ id }) => id,
  probe: ({ probe }) => probe,
  reference: ({ reference }) => reference,
  ...Object.fromEntries(
    (['verified', 'decision', 'distance', 'similarity', 'threshold', 'falseMatchRate'] as const).map(
      (column) => [column, (pair: ComparedPair) => ('result' in pair ? pair.result[column] : null)],
    ),
  ),
  error: (pair) => ('error' in pair ? pair.error.code : null),
  errorField: (pair) => ('error' in pair ? pair.error.details.field : null),
};

/**
 * Verifies the pairs of a CSV file and writes a line for each, in the order of the file. Holds only the pairs in progress;
 * an image that repeats is computed once, as long as it stays in the cache. The counts go to stderr.
 *
 * @throws {FaceError} PARAMETER_INVALID for the files; errors that are not those of an image, such as a wrong key, after
 * the lines of the pairs before.
 */
export async function verifyPairs(
  { pairs: file, format, out }: PairsOptions,
  engine: EngineOptions,
  task: VerifyTask,
): Promise<void> {
  // Counted before models are loaded: a file that is not CSV is reported at once.
  const total = await countPairs(file);
  const output = out == null ? null : await openOutput(out);
  const write = (text: string) => (output == null ? writeStdout(text) : output.appendFile(text));
  const counts = { verified: 0, notVerified: 0, errors: 0 };
  // On a terminal the results themselves show the progress.
  const progress = output == null && process.stdout.isTTY ? null : new Progress('pairs', total);
  try {
    if (format === 'csv') await write(csvLine(Object.keys(COLUMNS)));
    const needs = { ...task.needs, isBatch: true, isCached: true };
    await withImageTask(engine, { ...task, needs }, async (ask, atATime) => {
      const compare = (pair: Pair) => comparePair(pair, dirname(file), ask);
      for await (const compared of mapInOrder(readPairs(file), atATime, compare)) {
        await write(resultLine(compared, format));
        counts[outcomeOf(compared)]++;
        progress?.add(1);
      }
    });
  } finally {
    progress?.end();
    await output?.close();
  }
  const { verified, notVerified, errors } = counts;
  process.stderr.write(
    `${verified + notVerified + errors} pairs: ${verified} verified, ${notVerified} not verified, ${errors} with errors\n`,
  );
  if (errors > 0) process.exitCode = EXIT_ERROR;
}

async function countPairs(file: string): Promise<number> {
  let count = 0;
  for await (const _ of readPairs(file)) count++;
  if (count > 0) return count;
  throw new FaceError('PARAMETER_INVALID', `The file ${JSON.stringify(file)} given as --pairs has no pairs.`);
}

async function openOutput(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'w');
  } catch (error) {
    throw unwritable(file, 'out', error);
  }
}

/** Resolves when the text is taken, so that results do not pile up in memory before a slow reader. */
function writeStdout(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

async function comparePair(pair: Pair, folder: string, ask: Ask<Side, VerifyAnswer>): Promise<ComparedPair> {
  try {
    const [probe, reference] = await Promise.all([
      readSide(pair, 'probe', folder),
      readSide(pair, 'reference', folder),
    ]);
    return { ...pair, result: await ask({ probe, reference }) };
  } catch (error) {
    if (isOfImage(error)) return { ...pair, error };
    throw error;
  }
}

async function readSide(pair: Pair, side: Side, folder: string): Promise<NamedImage> {
  const file = pair[side];
  if (file === '') {
    throw new FaceError('IMAGE_MISSING', `Pair ${pair.id} names no ${side}.`, { field: side });
  }
  return { file, bytes: await readImage(resolve(folder, file), side) };
}

function outcomeOf(pair: ComparedPair): 'verified' | 'notVerified' | 'errors' {
  if ('error' in pair) return 'errors';
  return pair.result.verified ? 'verified' : 'notVerified';
}

/** The line of a result. */
function resultLine(pair: ComparedPair, format: PairsFormat): string {
  if (format === 'csv') return csvLine(Object.values(COLUMNS).map((valueOf) => valueOf(pair)));
  return `${JSON.stringify('error' in pair ? { ...pair, error: errorJson(pair.error) } : pair)}\n`;
}

/** A line of CSV, @see RFC 4180 section 2. */
function csvLine(values: readonly unknown[]): string {
  const cells = values.map((value) => {
    const text = value == null ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${cells.join(',')}\n`;
}
