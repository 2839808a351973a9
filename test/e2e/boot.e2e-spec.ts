import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FaceError } from '../../src/errors';
import {
  type BootProgress,
  type FaceModuleOptions,
  PACKAGE_MODELS_DIR,
  resolveFaceOptions,
} from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { COMPILED_MODELS, compiledFileName, DEFAULT_COMPILED_MODELS } from '../../src/models/compiled-models';
import { OnnxGraph } from '../../src/model-tools/onnx/onnx-builder';
import { rootDir, workerFile } from '../support/paths';
import { seededBytes } from '../support/seeded-random';

const cardsDir = join(PACKAGE_MODELS_DIR, 'cards');

function load(options: FaceModuleOptions): Promise<WorkerFaceModel> {
  return WorkerFaceModel.load(resolveFaceOptions({ workerFile, workerCount: 2, ...options }));
}

/** Ids of all children of this process. */
function childPids(): string[] {
  return readdirSync('/proc/self/task')
    .map((thread) => `/proc/self/task/${thread}/children`)
    .filter(existsSync)
    .flatMap((file) => readFileSync(file, 'utf8').trim().split(' '))
    .filter((pid) => pid !== '')
    .sort();
}

async function refusal(options: FaceModuleOptions): Promise<FaceError> {
  const before = childPids();
  const reason: unknown = await load(options).then(
    async (model) => {
      await model.close();
      return new Error('The models were loaded.');
    },
    (error: unknown) => error,
  );
  expect(childPids()).toEqual(before);
  if (reason instanceof FaceError) return reason;
  throw reason;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a boot', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'likeness-boot-'));
    await mkdir(join(folder, 'cards'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Links the compiled default models into the folder, but for those named. */
  async function linkDefaults(...without: string[]): Promise<void> {
    for (const name of Object.keys(COMPILED_MODELS).filter((name) => !without.includes(name))) {
      await symlink(join(PACKAGE_MODELS_DIR, compiledFileName(name)), join(folder, compiledFileName(name)));
    }
  }

  async function writeCard(name: string, change: (card: Record<string, unknown>) => void): Promise<void> {
    const card = JSON.parse(await readFile(join(cardsDir, `${name}.json`), 'utf8')) as Record<
      string,
      unknown
    >;
    change(card);
    await writeFile(join(folder, 'cards', `${name}.json`), JSON.stringify(card));
  }

  /** A detector `yunet` of these bytes, with a card in the folder that pins their hash. */
  async function pinned(bytes: Uint8Array): Promise<FaceModuleOptions> {
    await linkDefaults();
    await writeFile(join(folder, 'own.onnx'), bytes);
    await writeCard('yunet', (card) => Object.assign(card, { file: 'own.onnx', sha256: sha256(bytes) }));
    return { detectors: ['yunet'], modelDirs: [folder] };
  }

  /** No message may name a folder of this machine: it may reach a log that others read. */
  function expectNoFolder(error: FaceError): void {
    const reported = JSON.stringify([error.message, error.details]);
    expect(reported).not.toContain(folder);
    expect(reported).not.toContain(tmpdir());
    expect(reported).not.toContain(rootDir);
  }

  it('refuses a model whose file is missing, naming file and model', async () => {
    await linkDefaults();
    const error = await refusal({ detectors: ['yunet'], modelDirs: [folder] });
    expect(error.code).toBe('MODEL_NOT_FOUND');
    expect(error.message).toContain('face_detection_yunet_2023mar.onnx');
    expect(error.message).toContain('OpenCV zoo');
    expect(error.details).toEqual({ model: 'yunet', file: 'face_detection_yunet_2023mar.onnx' });
    expectNoFolder(error);
  });

  it('refuses a file with one byte changed, naming both hashes', async () => {
    const name = 'mobilefacenet-512';
    await linkDefaults(name);
    const file = compiledFileName(name);
    const bytes = await readFile(join(PACKAGE_MODELS_DIR, file));
    const expected = sha256(bytes);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(join(folder, file), bytes);
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_CHECKSUM_MISMATCH');
    expect(error.details).toEqual({ file, model: name, expected, received: sha256(bytes) });
    for (const part of [file, name, expected, sha256(bytes)]) expect(error.message).toContain(part);
    expectNoFolder(error);
  });

  it('refuses a graph whose input is not that of the card', async () => {
    const graph = new OnnxGraph('tiny');
    const x = graph.input('input', 'float32', [1, 3, 8, 8]);
    graph.output('cls_8', graph.add(x, x), 'float32', [1, 3, 8, 8]);
    const error = await refusal(await pinned(graph.toBytes()));
    expect(error.code).toBe('MODEL_SHAPE_MISMATCH');
    expect(error.message).toMatch(/640, 640.*\[1, 3, 8, 8\]/);
    expect(error.details).toMatchObject({ model: 'yunet' });
    expectNoFolder(error);
  });

  it('refuses a graph without the outputs of the card', async () => {
    const graph = new OnnxGraph('tiny');
    const x = graph.input('input', 'float32', [1, 3, 640, 640]);
    graph.output('other', graph.add(x, x), 'float32', [1, 3, 640, 640]);
    const error = await refusal(await pinned(graph.toBytes()));
    expect(error.code).toBe('MODEL_SHAPE_MISMATCH');
    expect(error.message).toContain('cls_8');
    expect(error.message).toContain('other');
  });

  it('refuses a file that is no ONNX at all', async () => {
    const error = await refusal(await pinned(seededBytes(1, 4096)));
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('yunet');
    expectNoFolder(error);
  });

  it('refuses a malformed card, naming the card and the field', async () => {
    await linkDefaults();
    await writeCard('yunet', (card) => {
      (card.input as Record<string, unknown>).width = '640';
      delete card.license;
      card.sha265 = 'misspelt';
    });
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    for (const part of ['yunet.json', 'input.width', 'license', 'sha265']) {
      expect(error.message).toContain(part);
    }
    expectNoFolder(error);
  });

  it.each(['input', 'outputs', 'license', 'source'])('refuses a card without %s', async (field) => {
    await linkDefaults();
    await writeCard('yunet', (card) => delete card[field]);
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain(field);
  });

  it.each([
    ['family', 'yolo'],
    ['sha256', 'short'],
    ['name', 'another'],
  ])('refuses a card whose %s is %s', async (field, value) => {
    await linkDefaults();
    await writeCard('yunet', (card) => Object.assign(card, { [field]: value }));
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toMatch(new RegExp(`yunet\\.json.*${field}`));
  });

  it('refuses a model of another task in the place of a detector', async () => {
    await linkDefaults();
    const error = await refusal({ detectors: ['mobilefacenet-512'], modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('is not a detector');
  });

  it('refuses a card that is no JSON', async () => {
    await linkDefaults();
    await writeFile(join(folder, 'cards', 'broken.json'), '{ "name": ');
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('broken.json');
    expectNoFolder(error);
  });

  it('refuses a name without a card, naming those that have one', async () => {
    await linkDefaults();
    const error = await refusal({ detectors: ['mtcnn'], modelDirs: [folder] });
    expect(error.code).toBe('MODEL_NOT_FOUND');
    expect(error.message).toContain('"mtcnn" has no card');
    expect(error.details.available).toContain('rfb-320');
    expectNoFolder(error);
  });

  it.each<[string, FaceModuleOptions]>([
    ['a detector', { detectors: ['mobilefacenet-512'] }],
    ['an embedder', { embedders: ['rfb-320'] }],
    ['an attribute model', { attributeModels: ['face-landmark-68'] }],
  ])('refuses a model of another task as %s', async (what, options) => {
    await linkDefaults();
    const error = await refusal({ modelDirs: [folder], ...options });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain(`is not ${what}`);
  });

  it('refuses a detector whose landmark model is of another task', async () => {
    await linkDefaults();
    await writeCard('rfb-320', (card) => {
      (card.detection as Record<string, unknown>).landmarkModel = 'age-gender';
    });
    const error = await refusal({ modelDirs: [folder] });
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('age-gender is not a landmark model');
  });

  it('refuses retinaface-resnet50 without its file, and without a hash to hold it to', async () => {
    await linkDefaults();
    const options = { detectors: ['retinaface-resnet50'], modelDirs: [folder] };
    const absent = await refusal(options);
    expect(absent.code).toBe('MODEL_NOT_FOUND');
    expect(absent.message).toContain('retinaface_resnet50.onnx');
    await writeFile(join(folder, 'retinaface_resnet50.onnx'), 'whatever');
    const unpinned = await refusal(options);
    expect(unpinned.code).toBe('MODEL_INVALID');
    expect(unpinned.message).toContain('has no sha256');
    expectNoFolder(unpinned);
  });

  it('loads the five default models from the package, prepares them once, and tells of it', async () => {
    const cacheDir = join(folder, 'new', 'cache');
    const boot = async () => {
      const reported: BootProgress[] = [];
      const before = childPids();
      const model = await load({ cacheDir, onProgress: (progress) => reported.push(progress) });
      expect(childPids()).toHaveLength(before.length + 2);
      const loads = model.models().flatMap(({ state, loads }) => (state === 'loaded' ? loads : []));
      expect(loads).toEqual([2, 2, 2, 2, 2]);
      await model.close();
      expect(childPids()).toEqual(before);
      return {
        prepared: reported.filter(({ stage }) => stage === 'prepare'),
        loaded: reported.filter(({ stage }) => stage === 'load'),
      };
    };
    const names = [...DEFAULT_COMPILED_MODELS].sort();
    const first = await boot();
    expect(first.prepared.map(({ model }) => model).sort()).toEqual(names);
    expect(first.prepared.map(({ done, total }) => [done, total])).toEqual(
      names.map((_, i) => [i + 1, names.length]),
    );
    // Nothing is compiled.
    expect(await readdir(cacheDir)).toEqual(['prepared']);
    const second = await boot();
    expect(second.prepared).toEqual([]);
    for (const { loaded } of [first, second]) {
      expect(loaded.map(({ done }) => done)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1));
      expect([...new Set(loaded.map(({ model }) => model))].sort()).toEqual(names);
    }
  });

  it('keeps the runtime out of the main process', async () => {
    // A process of its own: another suite may have opened the runtime in this one.
    const script = `
      const { readFileSync } = require('node:fs');
      require('./dist/index.js');
      const { WorkerFaceModel } = require('./dist/face/worker-face-model.js');
      const { resolveFaceOptions } = require('./dist/face/face.options.js');
      const hasRuntime = (pid) => readFileSync('/proc/' + pid + '/maps', 'utf8').includes('libonnxruntime');
      WorkerFaceModel.load(resolveFaceOptions({ workerCount: 1 })).then(async (model) => {
        const photo = readFileSync('node_modules/@vladmandic/face-api/demo/sample1.jpg');
        const { faces } = await model.represent(photo);
        const [worker] = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim().split(' ');
        const answer = { faces: faces.length, main: hasRuntime('self'), worker: hasRuntime(worker) };
        await model.close();
        console.log(JSON.stringify(answer));
      });`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: rootDir });
    expect(JSON.parse(stdout)).toEqual({ faces: 3, main: false, worker: true });
  });
});
