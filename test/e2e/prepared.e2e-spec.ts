import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { forkWorker } from '../../src/inference/fork-worker';
import { prepareInChild, type PrepareOptions } from '../../src/inference/prepare-models';
import type {
  LoadedModel,
  PlainError,
  PreparedModel,
  WorkerReply,
  WorkerRequest,
} from '../../src/inference/worker-protocol';
import type { ModelCard } from '../../src/models/model-card';
import { type ModelFile, readModelStore, requireFile } from '../../src/models/model-store';
import { PREPARED_DIR, PREPARED_GRAPH, PREPARED_WEIGHTS } from '../../src/models/prepared-model';
import { OnnxGraph } from '../../src/model-tools/onnx/onnx-builder';
import type { FaceJob, FaceJobResult } from '../../src/pipeline/face-job';
import type { AnalyzedFace, FaceDetection, Landmarks, RepresentedFace } from '../../src/pipeline/face.types';
import { cardInput } from '../support/card-input';
import { IMAGE_LIMITS } from '../support/image-fixtures';
import { rootDir, workerFile } from '../support/paths';
import { describeWithShared, sharedDir } from '../support/shared';

const DEFAULTS = ['rfb-320', 'face-landmark-68', 'mobilefacenet-512', 'age-gender', 'face-expression'];
const ATTACK_MODEL = 'minifasnet-v2-se';
const packageModels = join(rootDir, 'models');
const photo = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));

/** A worker process that is spoken to as the pool does, and whose memory is looked at. */
class Worker {
  private readonly child: ChildProcess = forkWorker(workerFile);
  private nextId = 1;

  static async start(models: ModelFile[]): Promise<{ worker: Worker; loaded: LoadedModel[] }> {
    const worker = new Worker();
    const settings = { models, intraOpThreads: 1, imageLimits: IMAGE_LIMITS };
    const reply = await worker.ask({ type: 'start', settings });
    if (reply.type === 'ready') return { worker, loaded: reply.models };
    await worker.stop();
    throw reply.type === 'failure' ? reply.error : new Error(reply.type);
  }

  get pid(): number {
    return this.child.pid as number;
  }

  async run(job: Partial<FaceJob>): Promise<FaceJobResult> {
    const whole: FaceJob = {
      task: 'represent',
      image: photo(6),
      models: [],
      detector: 'rfb-320',
      embedder: 'mobilefacenet-512',
      selection: 'all',
      maxFaces: 100,
      minFaceSize: 0,
      ...job,
    };
    const reply = await this.ask({ type: 'run', id: this.nextId++, job: whole });
    if (reply.type === 'result') return reply.value;
    throw reply.type === 'error' ? reply.error : new Error(reply.type);
  }

  async warm(model: string): Promise<void> {
    const reply = await this.ask({ type: 'warm', id: this.nextId++, model });
    if (reply.type === 'error') throw reply.error;
    expect(reply.type).toBe('warmed');
  }

  maps(): string {
    return readFileSync(`/proc/${this.pid}/maps`, 'utf8');
  }

  anonymousBytes(): number {
    const text = readFileSync(`/proc/${this.pid}/smaps_rollup`, 'utf8');
    return Number((/^Anonymous:\s+(\d+) kB$/m.exec(text) as RegExpExecArray)[1]) * 1024;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }

  /** The next reply that is no progress: nothing else is asked meanwhile. */
  private ask(request: WorkerRequest): Promise<WorkerReply> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('The worker ended.'));
      const onMessage = (reply: WorkerReply) => {
        if (reply.type === 'progress') return;
        this.child.off('message', onMessage);
        this.child.off('exit', onExit);
        resolve(reply);
      };
      this.child.on('message', onMessage);
      this.child.once('exit', onExit);
      this.child.send(request);
    });
  }
}

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'likeness-prepare-'))));
afterAll(() => rmSync(dir, { recursive: true }));

/** A models folder of its own. */
const cacheDir = () => mkdtempSync(join(dir, 'cache-'));
const entries = (models: string) => readdirSync(join(models, PREPARED_DIR));

async function readModels(modelDirs: string[], names: string[]): Promise<ModelFile[]> {
  const store = await readModelStore([join(packageModels, 'cards')], modelDirs);
  return names.map((name) => ({ ...requireFile(store, name), preparedPath: null }));
}

function prepare(models: ModelFile[], to: string, options: Partial<PrepareOptions> = {}) {
  return prepareInChild({ workerFile, models, cacheDir: to, limitMs: 120_000, ...options });
}

/** The same models, with what was prepared of them; fails where anything was not. */
function withPrepared(models: ModelFile[], prepared: PreparedModel[]): ModelFile[] {
  expect(prepared).toEqual(models.map(({ card: { name } }) => ({ name, preparedPath: expect.any(String) })));
  return models.map((model, i) => ({ ...model, ...(prepared[i] as { preparedPath: string }) }));
}

function reasonOf(prepared: PreparedModel): string {
  if ('reason' in prepared) return prepared.reason;
  throw new Error(`${prepared.name} was prepared.`);
}

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0) / (Math.hypot(...a) * Math.hypot(...b));
}

/** A thousandth of a pixel is what another order of the same additions may come to. */
function expectSameFaces(received: FaceJobResult, expected: FaceJobResult): void {
  expect(received.faceCount).toBe(expected.faceCount);
  expect(received.faces).toHaveLength(expected.faces.length);
  received.faces.forEach((face: FaceDetection, i) => {
    const other: FaceDetection = expected.faces[i];
    for (const side of ['x', 'y', 'width', 'height'] as const) {
      expect(Math.abs(face.box[side] - other.box[side])).toBeLessThan(1e-3);
    }
    const landmarks = other.landmarks as Landmarks;
    (face.landmarks as Landmarks).forEach((point, at) => {
      expect(Math.abs(point.x - landmarks[at].x)).toBeLessThan(1e-3);
      expect(Math.abs(point.y - landmarks[at].y)).toBeLessThan(1e-3);
    });
    expect(face.detectionScore).toBeCloseTo(other.detectionScore, 5);
  });
}

function expectSameEmbeddings(received: FaceJobResult, expected: FaceJobResult): void {
  expectSameFaces(received, expected);
  (received.faces as RepresentedFace[]).forEach(({ embedding, embeddingNorm }, i) => {
    const other = expected.faces[i] as RepresentedFace;
    expect(cosine(embedding, other.embedding)).toBeGreaterThan(0.999999);
    expect(embeddingNorm / other.embeddingNorm).toBeCloseTo(1, 5);
  });
}

describe('the default models, prepared', () => {
  let plain: ModelFile[];
  let prepared: ModelFile[];
  let to: string;
  const progress: unknown[] = [];
  let plainWorker: Worker;
  let preparedWorker: Worker;
  let plainLoaded: LoadedModel[];
  let preparedLoaded: LoadedModel[];

  beforeAll(async () => {
    to = cacheDir();
    plain = await readModels([packageModels], DEFAULTS);
    prepared = withPrepared(plain, await prepare(plain, to, { onProgress: (made) => progress.push(made) }));
    ({ worker: plainWorker, loaded: plainLoaded } = await Worker.start(plain));
    ({ worker: preparedWorker, loaded: preparedLoaded } = await Worker.start(prepared));
  });
  afterAll(() => Promise.all([plainWorker?.stop(), preparedWorker?.stop()]));

  it('are made one after the other, and nothing but them is left', () => {
    expect(progress).toEqual(DEFAULTS.map((model, i) => ({ model, done: i + 1, total: 5 })));
    expect(entries(to)).toHaveLength(5);
    for (const { preparedPath } of prepared) {
      expect(readdirSync(dirname(preparedPath as string)).sort()).toEqual(
        ['manifest.json', PREPARED_WEIGHTS, PREPARED_GRAPH].sort(),
      );
    }
  });

  it('are found the next time, and no process is started for them', async () => {
    const onProgress = jest.fn();
    const again = await prepare(plain, to, { workerFile: join(dir, 'absent.js'), onProgress });
    expect(withPrepared(plain, again)).toEqual(prepared);
    expect(onProgress).not.toHaveBeenCalled();
  });

  it('are mapped, and the plain ones are not', () => {
    const [mapped, unmapped] = [preparedWorker.maps(), plainWorker.maps()];
    for (const [i, { card, preparedPath }] of prepared.entries()) {
      const weights = join(dirname(preparedPath as string), PREPARED_WEIGHTS);
      expect(mapped).toContain(weights);
      expect(preparedLoaded[i]).toEqual({
        name: card.name,
        loadMs: expect.any(Number),
        memoryBytes: expect.any(Number),
        isPrepared: true,
        sharedBytes: statSync(weights).size,
      });
      expect(plainLoaded[i]).toMatchObject({ name: card.name, isPrepared: false, sharedBytes: 0 });
      expect(plainLoaded[i]).not.toHaveProperty('fallbackReason');
    }
    expect(unmapped).not.toContain(PREPARED_WEIGHTS);
  });

  it.each([1, 5])('find, describe and estimate the faces of sample%d.jpg as the plain ones do', async (i) => {
    const image = photo(i);
    const [received, expected] = [await preparedWorker.run({ image }), await plainWorker.run({ image })];
    expect(received.faces.length).toBeGreaterThan(1);
    expectSameEmbeddings(received, expected);
    const attributes = { age: 'age-gender', gender: 'age-gender', expression: 'face-expression' };
    const analyze: Partial<FaceJob> = { task: 'analyze', image, attributes };
    const [faces, others] = [await preparedWorker.run(analyze), await plainWorker.run(analyze)];
    expectSameFaces(faces, others);
    (faces.faces as AnalyzedFace[]).forEach((face, at) => {
      const other = others.faces[at] as AnalyzedFace;
      expect(face.age).toBeCloseTo(other.age as number, 2);
      expect([face.gender, face.expression]).toEqual([other.gender, other.expression]);
    });
  });

  it('score presentation attacks on photos of several faces as the plain one does', async () => {
    const models = await readModels([packageModels], [...DEFAULTS, ATTACK_MODEL]);
    const made = withPrepared(models, await prepare(models, to));
    const attackModels = [ATTACK_MODEL];
    const jobs = [made, models].map(async (files) => {
      const { worker } = await Worker.start(files);
      const { faces } = await worker.run({ image: photo(1), attackModels });
      await worker.stop();
      return faces.map(({ presentationAttack }) => presentationAttack);
    });
    const [received, expected] = await Promise.all(jobs);
    expect(expected).toHaveLength(3);
    expect(received).toEqual(
      expected.map((attack) => ({ ...attack, score: expect.closeTo(attack?.score as number, 4) })),
    );
  });

  it('leave the weights out of the memory of a worker', async () => {
    const at = DEFAULTS.indexOf('mobilefacenet-512');
    const memory: number[] = [];
    const reported: number[] = [];
    for (const models of [plain, prepared]) {
      const { worker, loaded } = await Worker.start([models[at]]);
      await worker.warm('mobilefacenet-512');
      memory.push(worker.anonymousBytes());
      reported.push(loaded[0].memoryBytes);
      await worker.stop();
    }
    const half = preparedLoaded[at].sharedBytes / 2;
    expect(memory[0] - memory[1]).toBeGreaterThan(half);
    expect(reported[0] - reported[1]).toBeGreaterThan(half);
  });

  it('report what they ran for a job: each model once more, and no warm-up', async () => {
    await preparedWorker.run({});
    await preparedWorker.warm('rfb-320');
    await preparedWorker.warm('mobilefacenet-512');
    const { runs, faceCount } = await preparedWorker.run({ selection: 'best', maxFaces: 1 });
    expect(faceCount).toBe(4);
    const ms = expect.any(Number) as number;
    expect(runs).toEqual([
      { model: 'rfb-320', count: 1, ms },
      { model: 'face-landmark-68', count: expect.any(Number), ms },
      { model: 'mobilefacenet-512', count: 1, ms },
    ]);
    for (const run of runs) expect(run.ms).toBeGreaterThan(0);
    // Runs of a refused job are reported with the next result.
    const error = await preparedWorker.run({ selection: 'single' }).catch((reason) => reason as PlainError);
    expect(error).toMatchObject({ code: 'FACE_AMBIGUOUS' });
    expect((await preparedWorker.run({ task: 'detect', maxFaces: 1 })).runs[0]).toEqual({
      model: 'rfb-320',
      // One of the refused job; all faces are looked for in two sizes.
      count: 3,
      ms,
    });
  });

  it('are warmed on demand, and a model that is not loaded is refused', async () => {
    await expect(preparedWorker.warm('yunet')).rejects.toMatchObject({
      code: 'MODEL_NOT_LOADED',
      details: { model: 'yunet' },
    });
    await preparedWorker.warm('age-gender');
    expect((await preparedWorker.run({})).faceCount).toBe(4);
  });

  it.each<[what: string, damage: (folder: string) => void]>([
    ['the weights are gone', (folder) => rmSync(join(folder, PREPARED_WEIGHTS))],
    ['the weights are cut short', (folder) => truncateSync(join(folder, PREPARED_WEIGHTS), 4096)],
    ['the graph is none', (folder) => writeFileSync(join(folder, PREPARED_GRAPH), 'no graph')],
    ['all is gone', (folder) => rmSync(folder, { recursive: true })],
  ])('give way to the plain file where %s', async (_, damage) => {
    const [detector, landmarks, embedder] = prepared;
    const copy = mkdtempSync(join(dir, 'damaged-'));
    cpSync(dirname(embedder.preparedPath as string), copy, { recursive: true });
    damage(copy);
    const damaged = { ...embedder, preparedPath: join(copy, PREPARED_GRAPH) };
    const { worker, loaded } = await Worker.start([detector, landmarks, damaged]);
    try {
      expect(loaded.map(({ isPrepared }) => isPrepared)).toEqual([true, true, false]);
      expect(loaded[2]).toMatchObject({ sharedBytes: 0, fallbackReason: expect.stringMatching(/\w/) });
      expect(loaded[2].fallbackReason).not.toContain(dir);
      expectSameEmbeddings(await worker.run({}), await plainWorker.run({}));
    } finally {
      await worker.stop();
    }
  });

  it('give way to no file that is not that of the card', async () => {
    const [, , embedder] = prepared;
    const path = join(dir, 'other.onnx');
    writeFileSync(path, 'other');
    const other = { ...embedder, path, preparedPath: join(dir, 'absent', PREPARED_GRAPH) };
    await expect(Worker.start([other])).rejects.toMatchObject({
      code: 'MODEL_CHECKSUM_MISMATCH',
      message: expect.stringContaining('the file other.onnx of model mobilefacenet-512'),
    });
  });
});

describeWithShared('the models of ../shared, prepared', () => {
  const NAMES = [
    'yunet',
    'yunet-dynamic',
    'retinaface-mnet025',
    'arcface-mobilefacenet-128',
    'face-landmark-68',
  ];

  it('give what the plain ones give', async () => {
    const plain = await readModels([join(sharedDir as string, 'models'), packageModels], NAMES);
    const prepared = withPrepared(plain, await prepare(plain, cacheDir()));
    const { worker: plainWorker } = await Worker.start(plain);
    const { worker, loaded } = await Worker.start(prepared);
    try {
      const maps = worker.maps();
      for (const [i, { preparedPath }] of prepared.entries()) {
        expect(loaded[i]).toMatchObject({ name: NAMES[i], isPrepared: true });
        expect(maps).toContain(join(dirname(preparedPath as string), PREPARED_WEIGHTS));
      }
      for (const detector of NAMES.slice(0, 3)) {
        for (const image of [photo(2), photo(5)]) {
          const job = { image, detector, embedder: 'arcface-mobilefacenet-128' };
          const [received, expected] = [await worker.run(job), await plainWorker.run(job)];
          expect(received.faceCount).toBeGreaterThan(0);
          expectSameEmbeddings(received, expected);
        }
      }
    } finally {
      await Promise.all([worker.stop(), plainWorker.stop()]);
    }
  });
});

describe('models that cannot be prepared', () => {
  let embedder: ModelFile;
  beforeAll(async () => ([embedder] = await readModels([packageModels], ['mobilefacenet-512'])));

  /** A small network, and its card; `patch` changes bytes of the file. */
  function model(
    name: string,
    build: (graph: OnnxGraph, image: string) => string,
    patch: (bytes: Buffer) => void = () => undefined,
  ): ModelFile {
    const graph = new OnnxGraph(name);
    const pixels = graph.node('Cast', [graph.input('image', 'uint8', ['N', 2, 2, 3])], { to: { int: 1 } });
    graph.output('out', graph.reshape(build(graph, pixels), [0, -1]), 'float32', ['N', 12]);
    const bytes = graph.toBytes();
    patch(bytes);
    const path = join(dir, `${name}.onnx`);
    writeFileSync(path, bytes);
    const card = {
      name,
      task: 'embed',
      family: 'arcface-112',
      sha256: createHash('sha256').update(bytes).digest('hex'),
      input: cardInput(2, 2, { maxBatch: 2 }),
      outputs: [{ name: 'out', dims: [-1, 12] }],
    } as ModelCard;
    return { card, path, preparedPath: null };
  }
  /** A worker file of one line, in the place of the real one. */
  function script(name: string, code: string): string {
    writeFileSync(join(dir, name), code);
    return join(dir, name);
  }

  it('say why where the folder cannot be made, and load plain', async () => {
    const to = cacheDir();
    writeFileSync(join(to, PREPARED_DIR), 'in the way');
    const onProgress = jest.fn();
    const [prepared] = await prepare([embedder], to, { onProgress });
    expect(prepared.name).toBe('mobilefacenet-512');
    expect(reasonOf(prepared)).toMatch(
      /^the cache folder cannot be written \(ENOTDIR\)\. Set FACE_CACHE_DIR/,
    );
    expect(reasonOf(prepared)).not.toContain(to);
    expect(onProgress.mock.calls).toEqual([[{ model: 'mobilefacenet-512', done: 1, total: 1 }]]);
    const { worker, loaded } = await Worker.start([embedder]);
    await worker.warm('mobilefacenet-512');
    await worker.stop();
    expect(loaded).toMatchObject([{ isPrepared: false, sharedBytes: 0 }]);
    expect(readFileSync(join(to, PREPARED_DIR), 'utf8')).toBe('in the way');
  });

  it('say so where their file is another, and the next is prepared all the same', async () => {
    const to = cacheDir();
    const path = join(dir, 'changed.onnx');
    writeFileSync(path, 'changed');
    const fine = model('fine', (graph, x) => graph.relu(x));
    const [changed, next] = await prepare([{ ...embedder, path }, fine], to);
    expect(reasonOf(changed)).toMatch(
      /^Expected sha256 .* for the file changed\.onnx of model mobilefacenet-512 /,
    );
    expect(next).toEqual({ name: 'fine', preparedPath: expect.stringContaining(to) });
    expect(entries(to)).toHaveLength(1);
  });

  it('say so where the runtime refuses their file', async () => {
    const to = cacheDir();
    const broken = model('broken', (graph, x) => graph.node('NoSuchOperation', [x]));
    const [prepared] = await prepare([broken], to);
    expect(reasonOf(prepared)).toMatch(
      /^The runtime cannot load the file of model broken\. .*NoSuchOperation/,
    );
    expect(entries(to)).toEqual([]);
  });

  it('say so where weights matter that preparing sets to 0, and PRelu is split where none do', async () => {
    const to = cacheDir();
    const tiny = Buffer.alloc(4);
    tiny.writeFloatLE(1e-10);
    const scaled = model(
      'scaled',
      (graph, x) => graph.div(graph.mul(x, graph.floats([1e-10])), graph.floats([1e-18])),
      (bytes) => bytes.writeFloatLE(9e-21, bytes.indexOf(tiny)),
    );
    const prelu = model('prelu', (graph, x) =>
      graph.node('PRelu', [graph.sub(x, graph.floats([128])), graph.floats([0.25], [1])]),
    );
    const [first, second] = await prepare([scaled, prelu], to);
    expect(reasonOf(first)).toBe('The prepared model scaled has other outputs than its file.');
    expect(readFileSync(prelu.path).includes('PRelu')).toBe(true);
    expect(readFileSync(withPrepared([prelu], [second])[0].preparedPath as string).includes('PRelu')).toBe(
      false,
    );
  });

  it('say so where they give other outputs than before', async () => {
    const to = cacheDir();
    // The runtime seeds a random operation by its number, which is another once what does nothing was left out.
    const random = model('random', (graph, x) =>
      graph.node('RandomUniformLike', [graph.node('Identity', [x])]),
    );
    const [prepared] = await prepare([random], to);
    expect(reasonOf(prepared)).toBe('The prepared model random has other outputs than its file.');
    expect(entries(to)).toEqual([]);
  });

  it('say so where it takes too long, and nothing is left', async () => {
    const to = cacheDir();
    const [late, hung] = [
      await prepare([embedder], to, { limitMs: 1 }),
      await prepare([embedder], to, {
        limitMs: 300,
        workerFile: script('hangs.js', 'setInterval(() => undefined, 1000)'),
      }),
    ];
    expect(reasonOf(late[0])).toBe('It was not prepared within 1 ms.');
    expect(reasonOf(hung[0])).toBe('It was not prepared within 300 ms.');
    expect(existsSync(join(to, PREPARED_DIR)) ? entries(to) : []).toEqual([]);
  });

  it('say so where the process ends, and what it wrote is removed; the next gets another process', async () => {
    const to = cacheDir();
    // Ends at the first model as one that is killed half-way, and answers for any other.
    const dies = script(
      'dies.js',
      `const { mkdirSync } = require('node:fs');
      process.on('message', ({ model: { card: { name } }, cacheDir }) => {
        if (name !== 'mobilefacenet-512') return process.send({ type: 'prepared', model: { name, preparedPath: 'x' } });
        const host = require('node:os').hostname();
        mkdirSync(cacheDir + '/${PREPARED_DIR}/.' + name + '.' + process.pid + '-0123456789ab@' + host + '.tmp', { recursive: true });
        process.kill(process.pid, 'SIGSEGV');
      });`,
    );
    const fine = model('fine', (graph, x) => graph.relu(x));
    const [dead, next] = await prepare([embedder, fine], to, { workerFile: dies });
    expect(reasonOf(dead)).toBe('The process that prepared it ended with SIGSEGV.');
    expect(next).toEqual({ name: 'fine', preparedPath: 'x' });
    expect(entries(to)).toEqual([]);
    const [absent] = await prepare([embedder], to, { workerFile: join(dir, 'absent.js') });
    expect(reasonOf(absent)).toBe('The process that prepared it ended with code 1.');
    const talks = script(
      'talks.js',
      `process.send({ type: 'ready', models: [] }); setInterval(() => 0, 1000)`,
    );
    const [other] = await prepare([embedder], to, { workerFile: talks });
    expect(reasonOf(other)).toBe('The process that prepared it gave another answer.');
  });

  it('are prepared once where two processes do it at the same time', async () => {
    const to = cacheDir();
    const [first, second] = await Promise.all([prepare([embedder], to), prepare([embedder], to)]);
    expect(first).toEqual(second);
    const [{ preparedPath }] = withPrepared([embedder], first);
    expect(entries(to)).toHaveLength(1);
    const { worker, loaded } = await Worker.start([{ ...embedder, preparedPath }]);
    await worker.stop();
    expect(loaded[0].isPrepared).toBe(true);
  });

  it('are made again where they were damaged', async () => {
    const to = cacheDir();
    const [{ preparedPath }] = withPrepared([embedder], await prepare([embedder], to));
    const weights = join(dirname(preparedPath as string), PREPARED_WEIGHTS);
    const before = readFileSync(weights);
    truncateSync(weights, 4096);
    const again = await prepare([embedder], to);
    expect(again).toEqual([{ name: 'mobilefacenet-512', preparedPath }]);
    expect(readFileSync(weights).equals(before)).toBe(true);
    expect(entries(to)).toHaveLength(1);
  });
});
