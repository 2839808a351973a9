import { join } from 'node:path';
import { FaceError } from '../errors';
import { listFolder } from './image-files';

/** Stands for the name of the person in a pattern. */
export const PERSON = '{person}';

/** A photo of a person. */
export interface PersonPhoto {
  /** The text that matched `{person}`. */
  person: string;
  file: string;
}

/**
 * Finds the photos whose paths match a pattern, in the order of their names.
 *
 * @param pattern - a path with one `{person}`; `*` and `?` stand for any characters and for one, except slashes.
 * `{person}` is greedy: `{person}_*.jpg` finds Aaron_Eckhart in Aaron_Eckhart_0001.jpg. Names that begin with a dot are
 * ignored.
 * @throws {FaceError} PARAMETER_INVALID if the pattern does not have exactly one `{person}`; IMAGE_MISSING if nothing
 * matches or a folder cannot be read.
 */
export async function findPhotos(pattern: string): Promise<PersonPhoto[]> {
  if (pattern.split(PERSON).length !== 2) {
    throw new FaceError(
      'PARAMETER_INVALID',
      `The pattern ${JSON.stringify(pattern)} must contain ${PERSON} exactly once, in place of the name of the person.`,
    );
  }
  const [first, ...rest] = pattern.split('/');
  // A pattern that begins with a slash has an empty first part.
  let found: { path: string; person: string }[] = [{ path: first === '' ? '/' : '.', person: '' }];
  const parts = first === '' ? rest : [first, ...rest];
  for (const [i, part] of parts.entries()) {
    if (part === '') continue;
    const isLast = i === parts.length - 1;
    found = (await Promise.all(found.map((at) => step(at, part, isLast)))).flat();
  }
  if (found.length === 0) {
    throw new FaceError('IMAGE_MISSING', `No photo matches the pattern ${JSON.stringify(pattern)}.`);
  }
  return found.map(({ path, person }) => ({ person, file: path }));
}

async function step(
  at: { path: string; person: string },
  part: string,
  isLast: boolean,
): Promise<{ path: string; person: string }[]> {
  const isPlain = !/[*?]|\{person\}/.test(part);
  if (isPlain && !isLast) return [{ ...at, path: join(at.path, part) }];
  const wanted = expressionOf(part);
  const entries = (await list(at.path)).filter((entry) => (isLast ? !entry.isDirectory() : !entry.isFile()));
  return entries.flatMap(({ name }) => {
    const match = wanted.exec(name);
    if (match == null) return [];
    return [{ path: join(at.path, name), person: match.groups?.person ?? at.person }];
  });
}

function expressionOf(part: string): RegExp {
  const source = part
    .split(/(\*|\?|\{person\})/)
    .map((piece) => {
      if (piece === '*') return '.*';
      if (piece === '?') return '.';
      if (piece === PERSON) return '(?<person>.+)';
      return piece.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    })
    .join('');
  return new RegExp(`^${source}$`, 's');
}

/** Empty for a missing folder: another person may have it. */
async function list(folder: string) {
  try {
    return await listFolder(folder);
  } catch (error) {
    const { code = '' } = (error as FaceError).cause as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) return [];
    throw error;
  }
}
