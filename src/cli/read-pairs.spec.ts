import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolders } from '../../test/support/temp-folder';
import { type Pair, readPairs } from './read-pairs';

describe(readPairs.name, () => {
  const tempFolder = tempFolders();
  async function read(text: string): Promise<Pair[]> {
    const file = join(tempFolder(), 'pairs.csv');
    writeFileSync(file, text);
    const pairs: Pair[] = [];
    for await (const pair of readPairs(file)) pairs.push(pair);
    return pairs;
  }

  it.each<[string, string, [string, string, string][]]>([
    [
      'columns in their order',
      'probe,reference\na.jpg,b.jpg\nc.jpg,d.jpg\n',
      [
        ['1', 'a.jpg', 'b.jpg'],
        ['2', 'c.jpg', 'd.jpg'],
      ],
    ],
    [
      'another order, and other columns',
      'Reference,same,ID,Probe\nb.jpg,yes,x1,a.jpg\n',
      [['x1', 'a.jpg', 'b.jpg']],
    ],
    [
      'quotes, commas and line breaks',
      'probe,reference\r\n"a, ""1"".jpg","b\n2.jpg"\r\n',
      [['1', 'a, "1".jpg', 'b\n2.jpg']],
    ],
    [
      'a byte order mark, spaces and empty lines',
      '\uFEFFprobe, reference\n\n a.jpg , b.jpg\n\n',
      [['1', 'a.jpg', 'b.jpg']],
    ],
    [
      'missing and surplus fields',
      'id,probe,reference\n,a.jpg\n7,a.jpg,b.jpg,c.jpg\n',
      [
        ['1', 'a.jpg', ''],
        ['7', 'a.jpg', 'b.jpg'],
      ],
    ],
    ['no pairs', 'probe,reference\n', []],
  ])('reads %s', async (_name, text, pairs) => {
    expect(await read(text)).toEqual(pairs.map(([id, probe, reference]) => ({ id, probe, reference })));
  });

  it.each([
    ['without a header', 'a.jpg,b.jpg\n', /first line .* probe is missing or repeated/],
    ['without a column', 'probe,ref\na.jpg,b.jpg\n', /reference is missing or repeated/],
    ['with a column twice', 'probe,probe,reference\na,b,c\n', /probe is missing or repeated/],
    ['separated by semicolons', 'probe;reference\na;b\n', /separated by commas/],
    ['with an open quote', 'probe,reference\n"a.jpg,b.jpg\n', /is not valid CSV: Quote Not Closed/],
  ])('refuses a file %s', async (_name, text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('refuses what is no file', async () => {
    const folder = tempFolder();
    await expect(readPairs(folder).next()).rejects.toThrow('is not a regular file');
    await expect(readPairs(join(folder, 'none.csv')).next()).rejects.toThrow('cannot be read: ENOENT');
  });
});
