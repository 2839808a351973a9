import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OnnxGraph } from '../../src/model-tools/onnx/onnx-builder';
import { cardInput } from '../support/card-input';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';
import { makePhotos, type Photos } from './photos';
import { ok } from './shapes';
import { dataUri, Wire } from './wire';

/** As wide as DeepFace's own: 101 classes of age, one a year. */
const AGES = Array.from({ length: 101 }, (_, years) => ({ 30: 0.25, 31: 0.75 })[years] ?? 0);
const RACES = ['asian', 'indian', 'black', 'white', 'middle eastern', 'latino hispanic'];

/** What small networks answer for every face, in the order of DeepFace's own networks. */
const NETWORKS: Record<
  string,
  { task: string; labels?: string[]; scores: number[]; side: number; channels: 1 | 3 }
> = {
  age: { task: 'age', scores: AGES, side: 224, channels: 3 },
  gender: { task: 'gender', labels: ['female', 'male'], scores: [0.125, 0.875], side: 224, channels: 3 },
  race: { task: 'race', labels: RACES, scores: [0.1, 0.05, 0.15, 0.4, 0.2, 0.1], side: 224, channels: 3 },
  emotion: {
    task: 'expression',
    labels: ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'],
    scores: [0.02, 0.03, 0.05, 0.6, 0.1, 0.15, 0.05],
    side: 48,
    channels: 1,
  },
};

function writeNetworks(folder: string): string {
  mkdirSync(join(folder, 'cards'), { recursive: true });
  for (const [name, { scores, side, channels, ...card }] of Object.entries(NETWORKS)) {
    const graph = new OnnxGraph(name);
    const pixels = graph.input('pixels', 'uint8', ['N', side, side, channels]);
    const floats = graph.node('Cast', [pixels], { to: { int: 1 } });
    const mean = graph.node('ReduceMean', [floats], { axes: { ints: [1, 2, 3] }, keepdims: { int: 0 } });
    const nothing = graph.mul(graph.reshape(mean, [-1, 1]), graph.floats([0]));
    const rows = graph.add(nothing, graph.floats(scores, [1, scores.length]));
    graph.output('scores', rows, 'float32', ['N', scores.length]);
    const bytes = graph.toBytes();
    const plain = channels === 1 ? { channels, mean: [0], std: [1] } : {};
    writeFileSync(join(folder, `${name}.onnx`), bytes);
    writeFileSync(
      join(folder, 'cards', `${name}.json`),
      JSON.stringify({
        name,
        title: `Constant ${name}`,
        family: 'upright-crop',
        file: `${name}.onnx`,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        input: { ...cardInput(side, side, { maxBatch: 8 }), ...plain },
        outputs: [{ name: 'scores', dims: [-1, scores.length] }],
        license: { name: 'MIT', commercialUse: true },
        source: 'written by a suite',
        ...card,
      }),
    );
  }
  return folder;
}

describe("POST /analyze with models of DeepFace's kind", () => {
  const tempFolder = tempFolders();
  let service: RunningService;
  let wire: Wire;
  let photos: Photos;

  beforeAll(async () => {
    service = await startService({
      FACE_ATTRIBUTE_MODELS: Object.keys(NETWORKS).join(','),
      FACE_MODEL_DIRS: [join(rootDir, 'models'), writeNetworks(tempFolder())].join(delimiter),
      FACE_PREPARE_MODELS: 'off',
    });
    wire = new Wire(service.url);
    photos = await makePhotos();
  });
  afterAll(() => service?.stop());

  const analyze = async (fields: object) =>
    ok(await wire.json('/analyze', { img: dataUri(photos.person), ...fields })).results;

  it('answers all four actions by default, in the order of DeepFace', async () => {
    const [face] = await analyze({});
    expect(Object.keys(face)).toEqual([
      'age',
      'gender',
      'dominant_gender',
      'emotion',
      'dominant_emotion',
      'race',
      'dominant_race',
      'region',
      'face_confidence',
    ]);
  });

  it('gives the age as the whole years of the expected value', async () => {
    // 0.25 * 30 + 0.75 * 31 = 30.75.
    expect((await analyze({ actions: ['age'] }))[0].age).toBe(30);
  });

  it('gives percentages by the names of DeepFace', async () => {
    const [face] = await analyze({});
    const rounded = (percentages: Record<string, number>) =>
      Object.entries(percentages).map(([name, value]) => [name, Number(value.toFixed(3))]);
    expect(rounded(face.gender)).toEqual([
      ['Woman', 12.5],
      ['Man', 87.5],
    ]);
    expect(face.dominant_gender).toBe('Man');
    expect(rounded(face.race)).toEqual([
      ['asian', 10],
      ['indian', 5],
      ['black', 15],
      ['white', 40],
      ['middle eastern', 20],
      ['latino hispanic', 10],
    ]);
    expect(face.dominant_race).toBe('white');
    expect(rounded(face.emotion)).toEqual([
      ['angry', 2],
      ['disgust', 3],
      ['fear', 5],
      ['happy', 60],
      ['sad', 10],
      ['surprise', 15],
      ['neutral', 5],
    ]);
    expect(face.dominant_emotion).toBe('happy');
  });

  it.each(['age', 'gender', 'emotion', 'race'])('answers action %s alone', async (action) => {
    const [face] = await analyze({ actions: [action] });
    const own = action === 'age' ? [action] : [action, `dominant_${action}`];
    expect(Object.keys(face)).toEqual([...own, 'region', 'face_confidence']);
  });
});
