import { CsvError, parse } from 'csv-parse';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { FaceError } from '../errors';

/** A pair of images to compare. */
export interface Pair {
  /** Column `id`, or the number of the pair, from 1. */
  id: string;
  /** Paths as the file has them; empty where a field is missing. */
  probe: string;
  reference: string;
}

/** More than the longest paths of any system. */
const MAX_RECORD_BYTES = 64 * 1024;

/**
 * Reads the pairs of a CSV file (RFC 4180, UTF-8) one after the other. Its first line names the columns, in any order:
 * `probe`, `reference` and optionally `id`; others are ignored, as are empty lines.
 *
 * @throws {FaceError} PARAMETER_INVALID if the file cannot be read, is not CSV or lacks a column.
 */
export async function* readPairs(file: string): AsyncGenerator<Pair> {
  await assertFile(file);
  const records = parse({
    bom: true,
    columns: columnsOf,
    trim: true,
    skip_empty_lines: true,
    // A field that is missing is an error of that pair alone.
    relax_column_count: true,
    max_record_size: MAX_RECORD_BYTES,
  });
  // An error of the file ends the parser, whose records are read here.
  pipeline(createReadStream(file), records, () => undefined);
  let number = 0;
  try {
    for await (const record of records as AsyncIterable<Partial<Pair>>) {
      number++;
      const { id, probe = '', reference = '' } = record;
      yield { id: id || String(number), probe, reference };
    }
  } catch (error) {
    throw error instanceof CsvError ? invalid(file, `is not valid CSV: ${error.message}`, error) : error;
  }
}

function columnsOf(header: string[]): string[] {
  const names = header.map((name) => name.trim().toLowerCase());
  for (const column of ['probe', 'reference']) {
    if (names.filter((name) => name === column).length === 1) continue;
    throw new FaceError(
      'PARAMETER_INVALID',
      `The first line of the file of pairs must name the columns, separated by commas: probe,reference or id,probe,reference. ${column} is missing or repeated.`,
    );
  }
  return names;
}

async function assertFile(file: string): Promise<void> {
  // The file is read twice, to count its pairs first: a pipe would be empty by then.
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    (error: NodeJS.ErrnoException) => {
      throw invalid(file, `cannot be read: ${error.code}`, error);
    },
  );
  if (!isFile) throw invalid(file, 'is not a regular file');
}

function invalid(file: string, problem: string, cause?: unknown): FaceError {
  return new FaceError(
    'PARAMETER_INVALID',
    `The file ${JSON.stringify(file)} given as --pairs ${problem}.`.replace(/\.+$/, '.'),
    {},
    { cause },
  );
}
