import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { FaceError } from '../../src/errors';
import { DEFAULT_FACE_OPTIONS, PACKAGE_MODELS_DIR, resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import type { CardInput } from '../../src/models/model-card';
import { OnnxGraph } from '../../src/model-tools/onnx/onnx-builder';
import { cardInput } from '../support/card-input';
import { plainPng } from '../support/image-fixtures';
import { rootDir, workerFile } from '../support/paths';

const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'));

/** Scores of a softmax whose largest is this class; the others share what is left alike. */
const logits = (classes: number, largest: number) =>
  Float32Array.from({ length: classes }, (_, i) => (i === largest ? 20 : 0));

describe('models that see faces as DeepFace shows them', () => {
  let folder: string;
  let model: WorkerFaceModel;

  /** Writes a small network and its card, made from that of another model. */
  function add(name: string, from: string, graph: OnnxGraph, change: Record<string, unknown>): void {
    const bytes = graph.toBytes();
    const path = join(PACKAGE_MODELS_DIR, 'cards', `${from}.json`);
    const { compiled: _compiled, ...card } = JSON.parse(readFileSync(path, 'utf8')) as Record<
      string,
      unknown
    >;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const file = `${name}.onnx`;
    writeFileSync(join(folder, file), bytes);
    const own = { ...card, name, file, sha256, bytes: bytes.length, ...change };
    writeFileSync(join(folder, 'cards', `${name}.json`), JSON.stringify(own));
  }

  /** Its embedding is the mean of each channel as it came in. */
  function channelMeans(layout: 'NHWC' | 'NCHW', width: number, height: number): OnnxGraph {
    const graph = new OnnxGraph('means');
    const shape = layout === 'NHWC' ? [height, width, 3] : [3, height, width];
    const image = graph.input('image', 'float32', ['N', ...shape]);
    const planes = layout === 'NHWC' ? graph.transpose(image, [0, 3, 1, 2]) : image;
    graph.output('means', graph.reshape(graph.node('GlobalAveragePool', [planes]), [0, 3]), 'float32', [
      'N',
      3,
    ]);
    return graph;
  }

  /** Always finds the same class, whatever it is shown. */
  function classifier(side: number, channels: number, classes: number, largest: number): OnnxGraph {
    const graph = new OnnxGraph('classes');
    const image = graph.input('image', 'float32', ['N', side, side, channels]);
    const mean = graph.node('GlobalAveragePool', [graph.transpose(image, [0, 3, 1, 2])]);
    const nothing = graph.constant('float32', [channels, classes], new Float32Array(channels * classes));
    const bias = graph.constant('float32', [classes], logits(classes, largest));
    const scores = graph.node('Gemm', [graph.reshape(mean, [0, channels]), nothing, bias]);
    graph.output('scores', graph.node('Softmax', [scores]), 'float32', ['N', classes]);
    return graph;
  }

  const input = (width: number, height: number, extra: Partial<CardInput> = {}) =>
    cardInput(width, height, {
      dtype: 'float32',
      colorOrder: 'BGR',
      std: [255, 255, 255],
      maxBatch: 16,
      ...extra,
    });
  const thresholds = { cosine: { maxDistance: 0.4, source: 'the test' } };
  const embedding = { dimensions: 3, mirrorAverage: false, thresholds };
  const attribute = (task: string, classes: number, extra: object = {}) => ({
    task,
    family: 'upright-crop',
    input: input(224, 224),
    outputs: [{ name: 'scores', dims: [-1, classes] }],
    ...extra,
  });
  const means = (family: string) => ({ family, outputs: [{ name: 'means', dims: [-1, 3] }], embedding });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'likeness-peer-'));
    mkdirSync(join(folder, 'cards'));
    add('tall', 'sface', channelMeans('NHWC', 47, 55), { ...means('upright-crop'), input: input(47, 55) });
    add('standard', 'sface', channelMeans('NHWC', 160, 160), {
      ...means('upright-crop'),
      input: input(160, 160, { std: [1, 1, 1], standardize: 'image' }),
    });
    // The card of SFace as it is, but for the alignment (and, here, a small network in the place of its own).
    const inputOfSface = { input: input(112, 112, { layout: 'NCHW', colorOrder: 'RGB', std: [1, 1, 1] }) };
    add('sface', 'sface', channelMeans('NCHW', 112, 112), { ...means('upright-crop'), ...inputOfSface });
    add('sface-112', 'sface', channelMeans('NCHW', 112, 112), { ...means('arcface-112'), ...inputOfSface });
    add('years', 'face-expression', classifier(224, 3, 101, 40), attribute('age', 101));
    add(
      'race',
      'face-expression',
      classifier(224, 3, 6, 1),
      attribute('race', 6, {
        labels: ['asian', 'indian', 'black', 'white', 'middle eastern', 'latino hispanic'],
      }),
    );
    add(
      'emotion',
      'face-expression',
      classifier(48, 1, 7, 6),
      attribute('expression', 7, {
        input: input(48, 48, { channels: 1, mean: [0], std: [255] }),
        labels: ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'],
      }),
    );
    model = await WorkerFaceModel.load(
      resolveFaceOptions({
        workerFile,
        workerCount: 1,
        cache: 'memory',
        embedders: ['tall', 'standard', 'sface', 'sface-112'],
        attributeModels: ['years', 'age-gender', 'emotion'],
        modelDirs: [...DEFAULT_FACE_OPTIONS.modelDirs, folder],
      }),
    );
  });
  afterAll(async () => {
    await model?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const statusOf = (name: string) => model.models().find((status) => status.name === name);
  const png = (width: number, height: number, background: { r: number; g: number; b: number }) =>
    sharp({ create: { width, height, channels: 3, background } })
      .png()
      .toBuffer();

  it('see the whole image, letterboxed and in blue, green, red', async () => {
    // 55 by 110 becomes 27 by 55 of 47 by 55: 27 of 47 columns are not black.
    const image = await png(55, 110, { r: 255, g: 51, b: 102 });
    const { faces, faceCount } = await model.represent(image, { wholeImage: 'always' });
    expect(faceCount).toBe(0);
    expect(faces).toHaveLength(1);
    const [{ embedding: unit, embeddingNorm, ...detection }] = faces;
    expect(detection).toEqual({
      box: { x: 0, y: 0, width: 55, height: 110 },
      landmarks: null,
      detectionScore: 0,
      alignmentScore: null,
    });
    const raw = Array.from(unit, (value) => value * embeddingNorm);
    [0.4, 0.2, 1].forEach((value, i) => expect(raw[i]).toBeCloseTo((value * 27) / 47, 4));
  });

  it('see an image standardised', async () => {
    const image = await png(160, 160, { r: 200, g: 100, b: 0 });
    const options = { wholeImage: 'always', embedder: 'standard' } as const;
    const [{ embedding: unit, embeddingNorm }] = (await model.represent(image, options)).faces;
    // 0, 100, 200: mean 100, deviation the root of 20000 / 3.
    const expected = [-1, 0, 1].map((value) => value * Math.sqrt(1.5));
    expected.forEach((value, i) => expect(unit[i] * embeddingNorm).toBeCloseTo(value, 4));
  });

  it('run no detector where the whole image is the face, and where none is named', async () => {
    const runs = statusOf('rfb-320')?.runs;
    const image = await png(640, 480, { r: 9, g: 9, b: 9 });
    const always = await model.detect(image, { wholeImage: 'always', detector: 'nobody' });
    expect(always.faces).toHaveLength(1);
    expect(always.timings.detectMs).toBe(0);
    expect(statusOf('rfb-320')?.runs).toBe(runs);
    expect((await model.detect(image)).faces).toEqual([]);
    expect(statusOf('rfb-320')?.runs).toBeGreaterThan(runs as number);
  });

  it('take the whole image where no face is found, and only there', async () => {
    const image = await plainPng(3000, 1500);
    const none = await model.detect(image, { wholeImage: 'ifNoFace' });
    expect(none).toMatchObject({
      faceCount: 0,
      faces: [
        {
          box: { x: 0, y: 0, width: 3000, height: 1500 },
          landmarks: null,
          detectionScore: 0,
          alignmentScore: null,
        },
      ],
    });
    expect((await model.detect(image, { wholeImage: 'never' })).faces).toEqual([]);
    const found = await model.detect(photo);
    expect(await model.detect(photo, { wholeImage: 'ifNoFace' })).toMatchObject({
      faceCount: 3,
      faces: found.faces,
    });
  });

  it('give other embeddings under another contract where faces are not aligned', async () => {
    const aligned = await model.represent(photo, { faceSelection: 'best' });
    const cut = await model.represent(photo, { faceSelection: 'best', align: false });
    expect(cut.timings.cache).toBe('miss');
    expect(cut.faces[0].box).toEqual(aligned.faces[0].box);
    expect(cut.faces[0].embedding).not.toEqual(aligned.faces[0].embedding);
    expect(model.embedder('tall', false).contract).not.toBe(model.embedder('tall').contract);
    expect((await model.represent(photo, { faceSelection: 'best', align: true })).timings.cache).toBe('hit');
  });

  it('are models of another alignment where the operator says so on the card', async () => {
    expect(statusOf('sface')).toMatchObject({ state: 'loaded', family: 'upright-crop' });
    expect(model.embedder('sface').contract).not.toBe(model.embedder('sface-112').contract);
    const [upright, template] = await Promise.all(
      ['sface', 'sface-112'].map((embedder) => model.represent(photo, { embedder, faceSelection: 'best' })),
    );
    // As DeepFace cuts faces out, from all pixels; the other found its face in a smaller picture.
    expect([upright.detectionScale, template.detectionScale]).toEqual([1, 400 / 1920]);
    expect(upright.faces[0].box.width / template.faces[0].box.width).toBeCloseTo(1, 1);
    expect(upright.faces[0].embedding).not.toEqual(template.faces[0].embedding);
  });

  it('measure no pixels of a face without landmarks', async () => {
    const [face] = (await model.represent(photo, { wholeImage: 'always', quality: true })).faces;
    expect(face).not.toHaveProperty('quality');
  });

  it('estimate what they are asked for, the first configured of each attribute', async () => {
    expect(statusOf('years')?.attributes).toEqual(['age']);
    expect(statusOf('age-gender')?.attributes).toEqual(['gender']);
    expect(statusOf('emotion')?.attributes).toEqual(['expression']);
    expect(statusOf('race')).not.toHaveProperty('attributes');
    const { faces } = await model.analyze(photo);
    expect(faces).toHaveLength(3);
    for (const face of faces) {
      expect(face.age).toBeCloseTo(40, 2);
      expect(face.expression).toBe('neutral');
      expect(face.expressionScores?.neutral).toBeCloseTo(1, 4);
      expect(face.genderScores).toEqual({ male: expect.any(Number), female: expect.any(Number) });
      expect(face).not.toHaveProperty('race');
    }
  });

  it('run nothing that was not asked for', async () => {
    const runsOf = () => ['years', 'age-gender', 'emotion'].map((name) => statusOf(name)?.runs as number);
    const before = runsOf();
    const { faces } = await model.analyze(photo, { attributes: ['expression'], faceSelection: 'best' });
    expect(Object.keys(faces[0]).sort()).toEqual(
      ['alignmentScore', 'box', 'detectionScore', 'expression', 'expressionScores', 'landmarks'].sort(),
    );
    expect(runsOf().map((runs, i) => runs - before[i])).toEqual([0, 0, 1]);
  });

  it('refuse an attribute that no loaded model estimates, by its name, until one is loaded', async () => {
    const attributes = ['age', 'race'] as const;
    const error = await model.analyze(photo, { attributes }).then(
      () => null,
      (reason: FaceError) => reason,
    );
    expect(error).toMatchObject({
      code: 'MODEL_NOT_LOADED',
      message: 'No model for race is loaded.',
      details: { field: 'attributes', attribute: 'race', available: ['age', 'gender', 'expression'] },
    });
    expect(await model.loadModel('race')).toMatchObject({ state: 'loaded', attributes: ['race'] });
    const image = await plainPng(200, 200);
    const { faces } = await model.analyze(image, { attributes, wholeImage: 'always' });
    expect(faces).toHaveLength(1);
    expect(faces[0]).toMatchObject({ race: 'indian', landmarks: null });
    expect(faces[0].raceScores?.indian).toBeCloseTo(1, 4);
    await model.unloadModel('race');
  });
});
