import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FaceError } from '../../src/errors';
import { type BootProgress, type FaceModuleOptions, resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { compiledFileName } from '../../src/model-store/compile/compile-models';
import { OnnxGraph } from '../../src/model-store/onnx/onnx-builder';
import { rootDir, workerFile } from '../support/paths';

const packageModels = join(rootDir, 'models');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('boot', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'likeness-boot-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const load = (options: FaceModuleOptions = {}) =>
    WorkerFaceModel.load(
      resolveFaceOptions({ workerFile, workerCount: 1, modelDirs: [dir], attributeModels: [], ...options }),
    );
  const failure = async (options?: FaceModuleOptions): Promise<FaceError> => {
    const error = await load(options).then(
      async (model) => {
        await model.close();
        throw new Error('The boot did not fail.');
      },
      (reason: FaceError) => reason,
    );
    expect(workerPids()).toEqual([]);
    expect(error.message).not.toContain(dir);
    return error;
  };

  /** Puts a detector of the SSD family into the models folder: these bytes, and a card that pins them. */
  function addDetector(bytes: Buffer, change: (card: Record<string, never>) => void = () => undefined): void {
    const card = JSON.parse(readFileSync(join(packageModels, 'cards', 'ssd-mobilenetv1.json'), 'utf8'));
    delete card.compiled;
    Object.assign(card, { name: 'mine', file: 'mine.onnx', sha256: sha256(bytes) });
    change(card);
    mkdirSync(join(dir, 'cards'));
    writeFileSync(join(dir, 'cards', 'mine.json'), JSON.stringify(card));
    writeFileSync(join(dir, 'mine.onnx'), bytes);
  }

  it('compiles what is missing, with progress, and only once', async () => {
    const steps: BootProgress[] = [];
    const options = {
      attributeModels: ['age-gender', 'face-expression'],
      onProgress: (step: BootProgress) => void steps.push(step),
    };
    await (await load(options)).close();
    const compiled = steps.filter(({ stage }) => stage === 'compile');
    expect(compiled.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5]);
    expect(steps.filter(({ stage }) => stage === 'load').map(({ done, total }) => [done, total])).toEqual(
      [1, 2, 3, 4, 5].map((done) => [done, 5]),
    );
    expect(readdirSync(dir).filter((file) => !file.endsWith('.onnx'))).toEqual([]);
    steps.length = 0;
    const model = await load(options);
    expect(steps.filter(({ stage }) => stage === 'compile')).toEqual([]);
    expect(
      model
        .models()
        .filter(({ state }) => state === 'loaded')
        .map(({ loads }) => loads),
    ).toEqual([1, 1, 1, 1, 1]);
    await model.close();
    expect(workerPids()).toEqual([]);
  });

  it('ends at a corrupt file, naming it and both hashes', async () => {
    cpSync(packageModels, dir, { recursive: true, filter: (path) => !path.includes('cards') });
    const file = compiledFileName('face-resnet-128');
    const bytes = readFileSync(join(dir, file));
    const expected = sha256(bytes);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(join(dir, file), bytes);
    const error = await failure();
    expect(error.code).toBe('MODEL_CHECKSUM_MISMATCH');
    for (const part of [file, expected, sha256(bytes)]) expect(error.message).toContain(part);
  });

  it('ends at a model of the wrong shape, saying what was expected', async () => {
    const graph = new OnnxGraph('tiny');
    const image = graph.input('image', 'uint8', ['N', 300, 300, 3]);
    graph.output('boxes', graph.node('Identity', [image]), 'uint8', ['N', 300, 300, 3]);
    addDetector(graph.toBytes());
    const error = await failure({ detectors: ['mine'] });
    expect(error.code).toBe('MODEL_SHAPE_MISMATCH');
    expect(error.message).toContain('mine');
    expect(error.message).toMatch(/512.*300/);
  });

  it('ends at bytes that are no ONNX model', async () => {
    addDetector(Buffer.from('no model at all'));
    const error = await failure({ detectors: ['mine'] });
    expect([error.code, error.message]).toEqual(['MODEL_INVALID', expect.stringContaining('mine')]);
  });

  it('ends at a malformed card, naming its fields', async () => {
    addDetector(Buffer.from('x'), (card) => Object.assign(card, { family: 'yolo', sha256: 'short' }));
    const error = await failure();
    expect([error.code, error.message]).toEqual([
      'MODEL_INVALID',
      expect.stringMatching(/mine\.json.*sha256/),
    ]);
  });

  it.each([
    ['retina', 'MODEL_NOT_FOUND', /"retina" has no card/],
    ['yunet', 'MODEL_NOT_FOUND', /face_detection_yunet_2023mar\.onnx.*OpenCV zoo/],
    ['face-resnet-128', 'MODEL_INVALID', /is no detector/],
  ])('ends where the detector is %s', async (name, code, message) => {
    const error = await failure({ detectors: [name] });
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  it('refuses a model whose card pins no sha256', async () => {
    writeFileSync(join(dir, 'retinaface_resnet50.onnx'), 'anything');
    const error = await failure({ detectors: ['retinaface-resnet50'] });
    expect([error.code, error.message]).toEqual(['MODEL_INVALID', expect.stringContaining('pins no sha256')]);
  });

  it('never brings onnxruntime into the main process', async () => {
    const script = `
      const { WorkerFaceModel } = require('./dist/face/worker-face-model.js');
      const { resolveFaceOptions } = require('./dist/face/face.options.js');
      require('./dist/index.js');
      (async () => {
        const model = await WorkerFaceModel.load(resolveFaceOptions({ workerCount: 1, attributeModels: [] }));
        const libraries = process.report.getReport().sharedObjects;
        await model.close();
        console.log(JSON.stringify(libraries.filter((file) => /onnxruntime/.test(file))));
      })();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: rootDir });
    expect(JSON.parse(stdout)).toEqual([]);
  });
});

/** Children of this process that run the worker file. */
function workerPids(): number[] {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
    .trim()
    .split(' ');
  return children
    .filter((pid) => pid !== '')
    .map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker-main'));
}
