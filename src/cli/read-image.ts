import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { FaceError } from '../errors';

/** Stands for standard input in place of a file. */
export const STDIN = '-';

/** An image with the name that the user gave. */
export interface NamedImage {
  file: string;
  bytes: Uint8Array;
}

const READ_PROBLEMS: Partial<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

/**
 * Reads an image from the disk.
 *
 * @param argument - name of the command's argument, for the error.
 * @throws {FaceError} IMAGE_MISSING with the name of the argument and of the file.
 */
export async function readImage(file: string, argument: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new FaceError(
      'IMAGE_MISSING',
      `The file ${JSON.stringify(file)} given as ${argument} cannot be read: ${READ_PROBLEMS[code] ?? code}.`,
      { field: argument, file },
      { cause: error },
    );
  }
}

/**
 * Reads an image from the disk, or from standard input for {@link STDIN}.
 *
 * @throws {FaceError} as {@link readImage}; IMAGE_EMPTY if standard input has no bytes.
 */
export async function readInput(
  file: string,
  argument: string,
  stdin: NodeJS.ReadableStream = process.stdin,
): Promise<NamedImage> {
  if (file !== STDIN) return { file, bytes: await readImage(file, argument) };
  const bytes = await buffer(stdin);
  if (bytes.length > 0) return { file, bytes };
  throw new FaceError('IMAGE_EMPTY', `Standard input, given as ${argument}, is empty.`, {
    field: argument,
    file,
  });
}
