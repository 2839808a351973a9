import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { decodeModel } from '../onnx/onnx-schema';
import {
  compiledFileName,
  compileModel,
  COMPILED_MODELS,
  COMPILER_VERSION,
  ensureCompiled,
  type CompileProgress,
} from './compile-models';

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

describe(ensureCompiled.name, () => {
  it('writes what is missing, reports it, and does nothing the second time', async () => {
    const progress: CompileProgress[] = [];
    await ensureCompiled([MODEL, 'face-landmark-68'], directory, (step) => progress.push(step));
    expect(progress).toEqual([
      { model: MODEL, done: 1, total: 2, ms: expect.any(Number) },
      { model: 'face-landmark-68', done: 2, total: 2, ms: expect.any(Number) },
    ]);
    const path = join(directory, compiledFileName(MODEL));
    const { mtimeMs } = await stat(path);
    await ensureCompiled([MODEL], directory, () => {
      throw new Error('nothing was missing');
    });
    expect((await stat(path)).mtimeMs).toBe(mtimeMs);
  });

  it('creates the directory', async () => {
    const nested = join(directory, 'a', 'b');
    await ensureCompiled([MODEL], nested);
    expect(await readdir(nested)).toEqual([compiledFileName(MODEL)]);
  });

  it('ends well when it runs twice at the same time', async () => {
    await Promise.all([ensureCompiled([MODEL], directory), ensureCompiled([MODEL], directory)]);
    expect(await readdir(directory)).toEqual([compiledFileName(MODEL)]);
    const written = await readFile(join(directory, compiledFileName(MODEL)));
    expect(written.equals(await compileModel(MODEL))).toBe(true);
  });

  it('leaves no file when weights and manifest do not fit', async () => {
    const weights = await mkdtemp(join(tmpdir(), 'likeness-weights-'));
    try {
      await copyFile(join(PACKAGED, WEIGHTS), join(weights, WEIGHTS));
      await writeFile(
        join(weights, `${WEIGHTS}-weights_manifest.json`),
        `[{"paths":["${WEIGHTS}"],"weights":[]}]`,
      );
      await expect(ensureCompiled([MODEL], directory, undefined, weights)).rejects.toMatchObject({
        code: 'MODEL_INVALID',
      });
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(weights, { recursive: true, force: true });
    }
  });

  it('refuses an unknown name before it compiles anything', async () => {
    await expect(ensureCompiled([MODEL, 'unknown'], directory)).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
    expect(await readdir(directory)).toEqual([]);
  });
});
