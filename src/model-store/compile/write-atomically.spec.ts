import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAtomically } from './write-atomically';

describe(writeAtomically.name, () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'likeness-write-'));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('writes the file and nothing else', async () => {
    await writeAtomically(join(directory, 'a.onnx'), Buffer.from('model'));
    expect(await readdir(directory)).toEqual(['a.onnx']);
    expect(await readFile(join(directory, 'a.onnx'), 'utf8')).toBe('model');
  });

  it('writes what comes piece by piece, and nothing where that fails', async () => {
    async function* pieces(isBroken: boolean) {
      yield Buffer.from('mo');
      yield Buffer.from('del');
      if (isBroken) throw new Error('no more');
    }
    await writeAtomically(join(directory, 'a.onnx'), pieces(false));
    await expect(writeAtomically(join(directory, 'b.onnx'), pieces(true))).rejects.toThrow('no more');
    expect(await readdir(directory)).toEqual(['a.onnx']);
    expect(await readFile(join(directory, 'a.onnx'), 'utf8')).toBe('model');
  });

  it('lets many writers of one file end well', async () => {
    const path = join(directory, 'a.onnx');
    await Promise.all(Array.from({ length: 8 }, () => writeAtomically(path, Buffer.from('model'))));
    expect(await readdir(directory)).toEqual(['a.onnx']);
    expect(await readFile(path, 'utf8')).toBe('model');
  });

  it('leaves no temporary file when it fails', async () => {
    // A directory in the way makes the very last step fail.
    await mkdir(join(directory, 'a.onnx', 'inside'), { recursive: true });
    await expect(writeAtomically(join(directory, 'a.onnx'), Buffer.from('model'))).rejects.toThrow();
    expect(await readdir(directory)).toEqual(['a.onnx']);
  });
});
