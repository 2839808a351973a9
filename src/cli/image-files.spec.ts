import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { tempFolders } from '../../test/support/temp-folder';
import { listImages } from './image-files';

describe(listImages.name, () => {
  const tempFolder = tempFolders();
  let folder: string;
  beforeAll(() => {
    folder = tempFolder();
    for (const file of [
      'b/2.PNG',
      'b/1.jpg',
      'b/notes.txt',
      'b/.hidden.jpg',
      'b/deep/3.webp',
      'a.jpg',
      'empty/x.md',
    ]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), '');
    }
    symlinkSync(join(folder, 'a.jpg'), join(folder, 'b', 'link.jpg'));
    symlinkSync(folder, join(folder, 'b', 'loop.jpg'));
  });
  const listed = async (...names: string[]) => {
    const { files, isList } = await listImages(
      names.map((name) => (name === '-' ? name : join(folder, name))),
    );
    return { files: files.map((file) => (file === '-' ? file : relative(folder, file))), isList };
  };

  it.each<[string[], string[], boolean]>([
    [['a.jpg'], ['a.jpg'], false],
    [['-'], ['-'], false],
    [['nowhere.jpg'], ['nowhere.jpg'], false],
    [['a.jpg', '-'], ['a.jpg', '-'], true],
    [['b'], ['b/1.jpg', 'b/2.PNG', 'b/deep/3.webp', 'b/link.jpg'], true],
    [['b/deep', 'a.jpg', 'b/notes.txt'], ['b/deep/3.webp', 'a.jpg', 'b/notes.txt'], true],
  ])('of %j are %j', async (names, files, isList) => {
    expect(await listed(...names)).toEqual({ files, isList });
  });

  it('refuses standard input twice, and a folder without images', async () => {
    await expect(listed('-', '-')).rejects.toMatchObject({ code: 'PARAMETER_INVALID' });
    await expect(listed('empty')).rejects.toMatchObject({
      code: 'IMAGE_MISSING',
      details: { file: join(folder, 'empty') },
    });
  });
});
