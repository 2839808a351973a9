import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { decodeModel } from '../../models/onnx/onnx-schema';
import { compileInto, compileModel } from './compile-models';
import { compiledFileName, COMPILED_MODELS, COMPILER_VERSION } from '../../models/compiled-models';

/** Smallest of the models, so that the specs stay fast. */
const MODEL = 'face-expression';
const WEIGHTS = COMPILED_MODELS[MODEL].file;
const PACKAGED = join(dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'likeness-compile-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe(compiledFileName.name, () => {
  it('has the model name and eight hexadecimal digits, different for every model', () => {
    const names = Object.keys(COMPILED_MODELS).map(compiledFileName);
    expect(new Set(names).size).toBe(Object.keys(COMPILED_MODELS).length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9-]+\.[0-9a-f]{8}\.onnx$/);
  });

  it.each(['unknown', 'constructor'])('throws MODEL_NOT_FOUND for the name "%s"', (name) => {
    expect(() => compiledFileName(name)).toThrow(`No compiled model is named "${name}"`);
  });
});

describe(compileModel.name, () => {
  it('gives the same bytes twice, with the compiler version inside', async () => {
    const bytes = await compileModel(MODEL);
    expect((await compileModel(MODEL)).equals(bytes)).toBe(true);
    const { graph, producerVersion } = decodeModel(bytes);
    expect(producerVersion).toBe(String(COMPILER_VERSION));
    expect(graph.input.map(({ name }) => name)).toEqual(['image']);
    expect(graph.output.map(({ name }) => name)).toEqual(['expressions']);
  });

  it('throws MODEL_CHECKSUM_MISMATCH with both hashes and no folder', async () => {
    await writeFile(join(directory, WEIGHTS), 'other weights');
    await expect(compileModel(MODEL, directory)).rejects.toMatchObject({
      code: 'MODEL_CHECKSUM_MISMATCH',
      message: expect.stringMatching(
        new RegExp(
          `^Expected sha256 ${COMPILED_MODELS[MODEL].weightsSha256} for ${WEIGHTS} but received [0-9a-f]{64}$`,
        ),
      ),
    });
  });

  it('throws MODEL_NOT_FOUND without the folder when the weights are absent', async () => {
    const compiling = compileModel(MODEL, directory);
    await expect(compiling).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await expect(compiling).rejects.not.toThrow(basename(directory));
  });
});

describe(compileInto.name, () => {
  it('creates the directory, and returns the path of the file that it wrote', async () => {
    const nested = join(directory, 'a', 'b');
    const path = await compileInto(nested, MODEL);
    expect(path).toBe(join(nested, compiledFileName(MODEL)));
    expect(await readdir(nested)).toEqual([compiledFileName(MODEL)]);
    expect((await readFile(path)).equals(await compileModel(MODEL))).toBe(true);
  });

  it('ends well when it runs twice at the same time', async () => {
    await Promise.all([compileInto(directory, MODEL), compileInto(directory, MODEL)]);
    expect(await readdir(directory)).toEqual([compiledFileName(MODEL)]);
    const written = await readFile(join(directory, compiledFileName(MODEL)));
    expect(written.equals(await compileModel(MODEL))).toBe(true);
  });

  it('leaves no file when weights and manifest do not fit', async () => {
    const weights = await mkdtemp(join(tmpdir(), 'likeness-weights-'));
    const name = WEIGHTS.replace(/\.bin$/, '');
    try {
      await copyFile(join(PACKAGED, WEIGHTS), join(weights, WEIGHTS));
      await writeFile(
        join(weights, `${name}-weights_manifest.json`),
        `[{"paths":["${WEIGHTS}"],"weights":[]}]`,
      );
      await expect(compileInto(directory, MODEL, weights)).rejects.toMatchObject({ code: 'MODEL_INVALID' });
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(weights, { recursive: true, force: true });
    }
  });

  it('refuses an unknown name, and leaves no folder', async () => {
    const nested = join(directory, 'a');
    await expect(compileInto(nested, 'unknown')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(await readdir(directory)).toEqual([]);
  });

  it('tells that the folder cannot be written', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(compileInto(join(file, 'models'), MODEL)).rejects.toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      details: { option: 'modelDirs' },
    });
  });
});
