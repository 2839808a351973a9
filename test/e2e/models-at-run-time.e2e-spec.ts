import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaceError } from '../../src/errors';
import { type FaceModuleOptions, PACKAGE_MODELS_DIR, resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { COMPILED_MODELS, compiledFileName } from '../../src/models/compiled-models';
import { rootDir, workerFile } from '../support/paths';

const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample5.jpg'));

/** Changes in the short form that runs everywhere; FAULT_ROUNDS sets another number. */
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 3);

describe('models that change while they serve', () => {
  let folder: string;
  let model: WorkerFaceModel;
  const notices: string[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'likeness-run-time-'));
    mkdirSync(join(folder, 'cards'));
    for (const name of Object.keys(COMPILED_MODELS)) {
      symlinkSync(join(PACKAGE_MODELS_DIR, compiledFileName(name)), join(folder, compiledFileName(name)));
    }
    addTwin('mobilefacenet-twin');
    notices.length = 0;
  });
  afterEach(async () => {
    await model?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const card = (name: string) =>
    JSON.parse(readFileSync(join(PACKAGE_MODELS_DIR, 'cards', `${name}.json`), 'utf8')) as Record<
      string,
      unknown
    >;

  /** A second embedder: the weights of the first one under another name. */
  function addTwin(name: string, change: Record<string, unknown> = {}): void {
    const { compiled: _compiled, ...rest } = card('mobilefacenet-512');
    writeFileSync(
      join(folder, 'cards', `${name}.json`),
      JSON.stringify({ ...rest, name, file: `${name}.onnx`, ...change }),
    );
    const weights = join(PACKAGE_MODELS_DIR, compiledFileName('mobilefacenet-512'));
    copyFileSync(weights, join(folder, `${name}.onnx`));
  }

  async function load(options: FaceModuleOptions = {}): Promise<void> {
    model = await WorkerFaceModel.load(
      resolveFaceOptions({
        workerFile,
        workerCount: 2,
        attributeModels: [],
        modelDirs: [folder],
        onNotice: ({ message }) => notices.push(message),
        ...options,
      }),
    );
  }

  /** Calls without a pause until the work is done; every one must be answered. */
  async function underTraffic<T>(work: () => Promise<T>): Promise<{ value: T; answers: number }> {
    let isOver = false;
    let answers = 0;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const { faces } = await model.represent(photo, { faceSelection: 'best' });
        expect(faces).toHaveLength(1);
        answers++;
      }
    });
    try {
      return { value: await work(), answers };
    } finally {
      isOver = true;
      await Promise.all(clients);
    }
  }

  async function refusal(work: Promise<unknown>): Promise<FaceError> {
    const error: unknown = await work.then(
      () => new Error('It was done.'),
      (reason: unknown) => reason,
    );
    if (error instanceof FaceError) return error;
    throw error;
  }

  const stateOf = (name: string) => model.models().find((status) => status.name === name);
  const twin = { embedder: 'mobilefacenet-twin' };

  it('are loaded, used and unloaded under traffic, and the memory comes back', async () => {
    await load();
    expect((await refusal(model.represent(photo, twin))).code).toBe('MODEL_NOT_LOADED');
    const pidsBefore = (await model.status()).workers.map(({ pid }) => pid);
    const { answers } = await underTraffic(async () => {
      for (let round = 0; round < ROUNDS; round++) {
        expect(await model.loadModel('mobilefacenet-twin')).toMatchObject({
          state: 'loaded',
          isDefault: false,
        });
        expect((await model.represent(photo, twin)).faces).toHaveLength(5);
        expect(await model.unloadModel('mobilefacenet-twin')).toMatchObject({ state: 'available' });
        expect((await refusal(model.represent(photo, twin))).code).toBe('MODEL_NOT_LOADED');
      }
    });
    expect(answers).toBeGreaterThan(0);
    expect(stateOf('mobilefacenet-twin')).toMatchObject({
      loads: 2 * ROUNDS,
      loadMs: null,
      memoryBytes: null,
    });
    const { workers } = await model.status();
    expect(workers).toHaveLength(2);
    expect(workers.every(({ pid }) => !pidsBefore.includes(pid))).toBe(true);
    expect(notices).toEqual(
      expect.arrayContaining(['loaded mobilefacenet-twin', 'unloaded mobilefacenet-twin']),
    );
  });

  it('are swapped under traffic, as the default too', async () => {
    await load();
    const before = model.embedder();
    await underTraffic(async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await model.swapModel('mobilefacenet-512', 'mobilefacenet-twin');
        expect(model.defaultEmbedder).toBe('mobilefacenet-twin');
        expect(stateOf('mobilefacenet-512')?.state).toBe('available');
        await model.swapModel('mobilefacenet-twin', 'mobilefacenet-512');
      }
    });
    expect(model.embedder()).toEqual(before);
  });

  it('take up a card that has changed, with another contract', async () => {
    await load({ embedders: ['mobilefacenet-twin'] });
    const before = model.embedder().contract;
    const embedding = (card('mobilefacenet-512').embedding ?? {}) as object;
    addTwin('mobilefacenet-twin', { embedding: { ...embedding, mirrorAverage: true } });
    expect(model.embedder().contract).toBe(before);
    await underTraffic(() => model.swapModel('mobilefacenet-twin', 'mobilefacenet-twin'));
    expect(model.embedder().contract).not.toBe(before);
  });

  it('stay as they were where the new one cannot be loaded', async () => {
    await load();
    addTwin('broken', { sha256: '0'.repeat(64) });
    addTwin('misshapen', {
      embedding: { ...(card('mobilefacenet-512').embedding as object), dimensions: 128 },
      outputs: [{ dims: [-1, 128] }],
    });
    const { value: errors } = await underTraffic(async () => [
      await refusal(model.swapModel('mobilefacenet-512', 'broken')),
      await refusal(model.loadModel('misshapen')),
      await refusal(model.loadModel('sface')),
      await refusal(model.loadModel('nobody')),
      await refusal(model.swapModel('mobilefacenet-512', 'rfb-320')),
      await refusal(model.unloadModel('face-landmark-68')),
    ]);
    expect(errors.map(({ code, details }) => [code, details.reason])).toEqual([
      ['MODEL_LOAD_FAILED', 'MODEL_CHECKSUM_MISMATCH'],
      ['MODEL_LOAD_FAILED', 'MODEL_SHAPE_MISMATCH'],
      ['MODEL_LOAD_FAILED', 'MODEL_NOT_FOUND'],
      ['MODEL_UNKNOWN', undefined],
      ['MODEL_UNKNOWN', undefined],
      ['MODEL_IN_USE', undefined],
    ]);
    for (const { message, details } of errors)
      expect(JSON.stringify([message, details])).not.toContain(folder);
    expect(model.defaultEmbedder).toBe('mobilefacenet-512');
    expect((await model.status()).workers).toHaveLength(2);
  });

  it('are refused where they would not fit, and what serves goes on', async () => {
    await load();
    const { memory } = await model.status();
    await model.close();
    await load({ memoryBudgetBytes: memory.reckonedBytes });
    const error = await refusal(model.loadModel('mobilefacenet-twin'));
    expect(error.code).toBe('MEMORY_BUDGET_EXCEEDED');
    expect(error.details).toMatchObject({ budgetBytes: memory.reckonedBytes });
    expect((await model.represent(photo)).faces).toHaveLength(5);
  });

  it('are unloaded after a while without a call, and never by themselves loaded again', async () => {
    await load({ idleTtlsMs: { 'mobilefacenet-512': 1000 } });
    await model.loadModel('mobilefacenet-twin', { idleTtlMs: 1000 });
    expect(stateOf('mobilefacenet-twin')?.idleTtlMs).toBe(1000);
    while (stateOf('mobilefacenet-twin')?.state === 'loaded')
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await refusal(model.represent(photo, twin))).code).toBe('MODEL_NOT_LOADED');
    // The default stays, whatever its time.
    expect((await model.represent(photo)).faces).toHaveLength(5);
  });

  it('are warmed in every worker', async () => {
    await load();
    expect(await model.warmModel('mobilefacenet-512')).toMatchObject({
      name: 'mobilefacenet-512',
      state: 'loaded',
    });
    expect((await refusal(model.warmModel('mobilefacenet-twin'))).code).toBe('MODEL_NOT_LOADED');
    expect((await refusal(model.warmModel('nobody'))).code).toBe('MODEL_UNKNOWN');
  });
});
