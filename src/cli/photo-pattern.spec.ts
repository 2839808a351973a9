import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { tempFolders } from '../../test/support/temp-folder';
import { findPhotos } from './photo-pattern';

describe(findPhotos.name, () => {
  const tempFolder = tempFolders();
  let folder: string;
  beforeAll(() => {
    folder = tempFolder();
    for (const file of [
      'a/frontal/2.jpg',
      'a/frontal/1.jpg',
      'a/frontal/1.png',
      'a/profile/1.jpg',
      'b/frontal/1.jpg',
      'b/.hidden.jpg',
      'c/other.txt',
      'flat/Aaron_Eckhart_0001.jpg',
      'flat/Aaron_Eckhart_0002.jpg',
      'flat/Bo_0001.jpg',
      'flat/.Bo_0002.jpg',
      'odd/x(1)+y.jpg',
    ]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), '');
    }
  });
  const found = async (pattern: string) =>
    (await findPhotos(`${folder}/${pattern}`)).map(
      ({ person, file }) => `${person}: ${relative(folder, file)}`,
    );

  it('takes the person from a folder, and passes over people without such photos', async () => {
    expect(await found('{person}/frontal/*.jpg')).toEqual([
      'a: a/frontal/1.jpg',
      'a: a/frontal/2.jpg',
      'b: b/frontal/1.jpg',
    ]);
    expect(await found('{person}/*/1.???')).toEqual([
      'a: a/frontal/1.jpg',
      'a: a/frontal/1.png',
      'a: a/profile/1.jpg',
      'b: b/frontal/1.jpg',
    ]);
  });

  it('takes the person from the name of the file, as much of it as there is', async () => {
    expect(await found('flat/{person}_*.jpg')).toEqual([
      'Aaron_Eckhart: flat/Aaron_Eckhart_0001.jpg',
      'Aaron_Eckhart: flat/Aaron_Eckhart_0002.jpg',
      'Bo: flat/Bo_0001.jpg',
    ]);
  });

  it('takes all other characters as they are', async () => {
    expect(await found('odd/{person}(1)+y.jpg')).toEqual(['x: odd/x(1)+y.jpg']);
    await expect(found('odd/{person}(1).y.jpg')).rejects.toMatchObject({ code: 'IMAGE_MISSING' });
  });

  it('finds relative to the working folder', async () => {
    const pattern = `${relative(process.cwd(), folder)}/{person}/frontal/2.jpg`;
    expect(await findPhotos(pattern)).toEqual([
      { person: 'a', file: relative(process.cwd(), join(folder, 'a/frontal/2.jpg')) },
    ]);
  });

  it.each([
    ['a/frontal/*.jpg', 'PARAMETER_INVALID', /must contain \{person\} exactly once/],
    ['{person}/{person}_*.jpg', 'PARAMETER_INVALID', /must contain \{person\} exactly once/],
    ['nowhere/{person}/*.jpg', 'IMAGE_MISSING', /No photo matches/],
    ['{person}/*.webp', 'IMAGE_MISSING', /No photo matches/],
  ])('refuses %s with %s', async (pattern, code, message) => {
    await expect(found(pattern)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
