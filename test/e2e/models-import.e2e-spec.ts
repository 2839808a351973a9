import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sha256OfFile } from '../../src/models/model-file';
import { makeReferences } from '../support/keras/reference';
import { rootDir } from '../support/paths';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

const tempFolder = tempFolders();

const likeness = (args: string[], env?: NodeJS.ProcessEnv) => startCli(args, env).ended;

describe('import of Keras files', () => {
  interface Outcome {
    sha256?: string;
    code?: string;
    message?: string;
    layer?: string;
    left: string[];
  }
  const MADE = ['small.json', 'small.onnx'];
  let outcomes: Record<string, Outcome>;

  beforeAll(async () => {
    const script = join(rootDir, 'test', 'support', 'keras', 'import-files.mjs');
    const { stdout } = await promisify(execFile)(process.execPath, [script, tempFolder()], {
      maxBuffer: 16 * 1024 ** 2,
    });
    outcomes = JSON.parse(stdout) as Record<string, Outcome>;
  });

  const SAME = [
    'whole model',
    'other names, same order',
    'gzip',
    'layers without weights among others',
    'names in several attributes',
    'groups in a circle',
    'again: first',
    'again: forced',
    'normalization',
  ];

  it.each(SAME)('reads the same weights from any layout: %s', (name) => {
    expect(outcomes.sound.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(outcomes[name]).toEqual({ sha256: outcomes.sound.sha256, left: expect.anything() as string[] });
    expect(outcomes[name].left.sort()).toEqual(MADE);
  });

  it('reads names as newer versions of h5py write them', () => {
    expect(outcomes['names of any length'].sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  type Refused = [name: string, message: RegExp, layer?: string];
  const REFUSED = (<Refused[]>[
    ['text', /not HDF5/],
    ['empty', /not HDF5/],
    ['absent', /cannot be read \(ENOENT\)/],
    ['folder', /not a regular file/],
    ['pipe', /not a regular file/],
    ['layer missing', /Expected 3 layers with weights but the file has 2/, 'norm'],
    ['layer too many', /Expected 3 layers with weights but the file has 4/, 'more'],
    ['layer named, not there', /group "\/gone" is missing/, 'gone'],
    ['tensor named, not there', /tensor "\/conv\/conv\/bias:0" is missing/, 'conv'],
    ['tensor missing', /Expected weights \[2\], \[2\], \[2\], \[2\] for layer "norm"/, 'norm'],
    ['other shape', /Expected weights \[8, 4\], \[4\] for layer "out" but it has \[4, 8\]/, 'out'],
    ['twice the same layer', /names the layer "conv" twice/],
    ['no names', /no list of layers/],
    ['names are numbers', /layer_names of the group "\/" is not text/],
    ['NaN', /bias:0" has values that are not finite/, 'out'],
    ['Infinity', /moving_mean:0" has values that are not finite/, 'norm'],
    ['values that overflow', /network with these weights returns values that are not finite/],
    ['integers', /must be float32, little-endian, but is not a float type/, 'conv'],
    ['float16', /but is float16/, 'conv'],
    ['float64', /but is float64/, 'conv'],
    ['big-endian', /but is float32, big-endian/, 'conv'],
    ['scalar', /Expected weights \[3, 3, 3, 2\], \[2\] for layer "conv" but it has \[\], \[2\]/, 'conv'],
    ['a tensor that says it is huge', /but it has \[1099511627776, 1048576\]/, 'out'],
    ['layer in another file', /group "\/out" is missing/, 'out'],
    ['links in a circle', /is damaged/, 'out'],
    ['virtual', /refers to other files, which is not supported/, 'conv'],
    ['external', /cannot be read/, 'conv'],
  ]).map(([name, message, layer]) => ({ name, message, layer }));

  it.each(REFUSED)('refuses a file and leaves nothing: $name', ({ name, message, layer }) => {
    expect(outcomes[name]).toEqual({
      code: 'MODEL_IMPORT_FAILED',
      message: expect.stringMatching(message) as string,
      ...(layer == null ? {} : { layer }),
      left: [],
    });
  });

  it('keeps a model that is there, unless it is forced', () => {
    expect(outcomes['again: taken']).toMatchObject({ code: 'PARAMETER_INVALID' });
    expect(outcomes['again: forced, bad file'].code).toBe('MODEL_IMPORT_FAILED');
    expect(outcomes['again: forced, bad file'].left.sort()).toEqual(MADE);
  });

  it.each(['link at small.onnx', 'link at cards/small.json'])('follows no link in its place: %s', (name) => {
    expect(outcomes[name]).toMatchObject({ code: 'MODEL_IMPORT_FAILED' });
    expect(outcomes[name].left).toHaveLength(1);
  });

  it('says where the folder cannot be written', () => {
    expect(outcomes['cards is a file']).toMatchObject({ code: 'FACE_OPTIONS_INVALID', left: ['cards'] });
  });

  it('ends with a code, whatever was cut off or overwritten, and leaves nothing', () => {
    const damaged = Object.entries(outcomes).filter(([name]) => / at \d+$/.test(name));
    expect(damaged).toHaveLength(3 * 64);
    for (const [name, { code, sha256, left }] of damaged) {
      if (sha256 == null) expect([name, code, left]).toEqual([name, 'MODEL_IMPORT_FAILED', []]);
      else expect([name, left.sort()]).toEqual([name, MADE]);
    }
    const cut = damaged.filter(([name]) => name.startsWith('cut'));
    expect(cut.filter(([, { sha256 }]) => sha256 != null)).toEqual([]);
  });
});

describe('likeness models import', () => {
  jest.setTimeout(300_000);
  const photo = (number: number) =>
    join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${number}.jpg`);
  let weights: string;
  let models: string;

  beforeAll(async () => {
    weights = tempFolder();
    models = tempFolder();
    await makeReferences({ 'vgg-face': weights }, { files: [{ name: 'vgg.h5' }] });
    await makeReferences({ retinaface: weights }, { files: [{ name: 'retinaface.h5' }] });
  });

  it('says what it knows, and what is wrong', async () => {
    const unknown = await likeness(['models', 'import', 'resnet', join(weights, 'vgg.h5')]);
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toMatch(/^PARAMETER_INVALID: .*vgg-face, /);
    const wrong = ['models', 'import', 'retinaface', join(weights, 'vgg.h5'), '--models-dir', models];
    const answer = await likeness([...wrong, '--json']);
    expect(answer.code).toBe(2);
    expect(JSON.parse(answer.stdout)).toMatchObject({ error: { code: 'MODEL_IMPORT_FAILED' } });
    const normalization = await likeness([...wrong, '--normalization', 'raw']);
    expect(normalization.stderr).toMatch(/^PARAMETER_INVALID: Only embedders/);
    expect(readdirSync(models, { recursive: true })).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'leaves nothing behind where it is stopped by %s',
    async (signal) => {
      const folder = tempFolder();
      const args = ['models', 'import', 'vgg-face', join(weights, 'vgg.h5'), '--models-dir', folder];
      let files: string[] = [];
      const { child, ended } = startCli(args);
      // The first line of progress: part of the file is there.
      child.stderr.once('data', () => {
        files = readdirSync(folder);
        child.kill(signal);
      });
      const { code, stderr } = await ended;
      expect(files).toContainEqual(expect.stringMatching(/^\.vgg-face\.onnx\..*\.tmp$/));
      expect(code).toBe(2);
      expect(stderr).toMatch(/^MODEL_IMPORT_FAILED: The import was stopped\.$/m);
      expect(readdirSync(folder, { recursive: true })).toEqual(['cards']);
    },
  );

  it('makes models of full size that verify', async () => {
    const env = {
      FACE_MODEL_DIRS: models,
      // Both would only take time: each model is loaded once.
      FACE_PREPARE_MODELS: 'off',
      FACE_REQUEST_TIMEOUT_MS: '120000',
    };
    const detector = await likeness(['models', 'import', 'retinaface', join(weights, 'retinaface.h5')], env);
    expect(detector).toMatchObject({ code: 0 });
    expect(detector.stdout).toMatch(/^retinaface: .*retinaface\.onnx, sha256 [0-9a-f]{64}\n$/);
    const args = ['models', 'import', 'vgg-face', join(weights, 'vgg.h5'), '--normalization', 'VGGFace'];
    const embedder = await likeness([...args, '--json'], env);
    expect(embedder.code).toBe(0);
    const path = join(models, 'vgg-face.onnx');
    const sha256 = await sha256OfFile(path);
    expect(JSON.parse(embedder.stdout)).toMatchObject({ name: 'vgg-face', path, sha256 });
    const card = JSON.parse(readFileSync(join(models, 'cards', 'vgg-face.json'), 'utf8')) as object;
    expect(card).toMatchObject({ sha256, input: { mean: [93.594, 104.7624, 129.1863], std: [1, 1, 1] } });

    // Weights that mean nothing find faces of low score anywhere.
    const options = ['--detector', 'retinaface', '--embedder', 'vgg-face', '--min-detection-score', '0.3'];
    const verified = await likeness(['verify', photo(1), photo(2), ...options, '--json'], env);
    expect([0, 1]).toContain(verified.code);
    const answer = JSON.parse(verified.stdout) as { distance: number; probe: { landmarks: unknown } };
    expect(answer).toMatchObject({ threshold: 0.68, metric: 'cosine', verified: verified.code === 0 });
    expect(answer.distance).toBeGreaterThan(0);
    expect(answer.probe.landmarks).not.toBeNull();
  });
});
