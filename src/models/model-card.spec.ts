import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sampleCalibration } from '../../test/support/sample-calibration';
import { FaceError } from '../errors';
import { ARCHITECTURES } from '../model-tools/import/architectures';
import { type CalibrationPoint, MODEL_FAMILIES, MODEL_TASKS, parseModelCard } from './model-card';

type Json = Record<string, unknown>;

const cards = join(__dirname, '..', '..', 'models', 'cards');
const files = readdirSync(cards).filter((file) => file.endsWith('.json'));
const read = (name: string): Json => JSON.parse(readFileSync(join(cards, `${name}.json`), 'utf8'));

/** Errors of {@link parseModelCard} for a changed card; an empty list if it is valid. */
function problemsOf(name: string, change: (card: Json) => void): string[] {
  const card = read(name);
  change(card);
  try {
    parseModelCard(card, `${name}.json`);
    return [];
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    const { code, message, details } = error;
    expect([code, details]).toEqual(['MODEL_INVALID', { card: `${name}.json` }]);
    const prefix = `The model card ${name}.json is malformed: `;
    expect(message.startsWith(prefix)).toBe(true);
    return message.slice(prefix.length, -1).split('; ');
  }
}

/** Sets the value at a path such as `detection.passes.0.border`; undefined removes it. */
function set(path: string, value: unknown): (card: Json) => void {
  return (card) => {
    const keys = path.split('.');
    const last = keys.pop() as string;
    const parent = keys.reduce((at, key) => at[key] as Json, card);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  };
}
const names = (path: string) => expect.arrayContaining([expect.stringMatching(`^${path}(\\.\\d+)?: `)]);

describe(parseModelCard.name, () => {
  it.each(files)('takes %s as it is', (file) => {
    const json = JSON.parse(readFileSync(join(cards, file), 'utf8'));
    const card = parseModelCard(json, file);
    expect(JSON.parse(JSON.stringify(card))).toEqual(json);
  });

  it('has a card of every task and of every family, with those of the models that an operator imports', () => {
    const shipped = files.map((file) => parseModelCard(read(file.replace('.json', '')), file));
    const imported = Object.entries(ARCHITECTURES).map(([name, { card }]) =>
      parseModelCard({ name, file: `${name}.onnx`, ...card }, `${name}.json`),
    );
    const all = [...shipped, ...imported];
    expect(all.map(({ task }) => task)).toEqual(expect.arrayContaining([...MODEL_TASKS]));
    expect(all.map(({ family }) => family)).toEqual(
      expect.arrayContaining(Object.values(MODEL_FAMILIES).flat()),
    );
  });

  it.each([
    ['yunet', 'name'],
    ['yunet', 'title'],
    ['yunet', 'task'],
    ['yunet', 'family'],
    ['yunet', 'input'],
    ['yunet', 'outputs'],
    ['yunet', 'license'],
    ['yunet', 'source'],
    ['yunet', 'input.width'],
    ['yunet', 'input.height'],
    ['yunet', 'input.layout'],
    ['yunet', 'input.dtype'],
    ['yunet', 'input.colorOrder'],
    ['yunet', 'input.mean'],
    ['yunet', 'input.std'],
    ['yunet', 'input.maxBatch'],
    ['yunet', 'outputs.3.dims'],
    ['yunet', 'detection.passes'],
    ['yunet', 'detection.nmsIou'],
    ['yunet', 'detection.enlarge'],
    ['yunet', 'detection.passes.1.border'],
    ['yunet', 'detection.passes.1.minDetectionScore'],
    ['yunet', 'license.name'],
    ['yunet', 'license.commercialUse'],
    ['sface', 'embedding.dimensions'],
    ['sface', 'embedding.mirrorAverage'],
    ['sface', 'embedding.thresholds.cosine.maxDistance'],
    ['sface', 'embedding.thresholds.cosine.source'],
  ])('names the field that %s lacks: %s', (name, path) => {
    expect(problemsOf(name, set(path, undefined))).toEqual(names(path));
    expect(problemsOf(name, set(path, null))).toEqual(names(path));
  });

  it.each<[path: string, ...values: unknown[]]>([
    ['name', 'YuNet', '-yunet', 'yu net', '../yunet', '', 7],
    ['title', '', 7],
    ['task', 'verify', '', ['detect']],
    ['file', 'yunet', 'a/yunet.onnx', 'a\\yunet.onnx', '.onnx', 'yunet.ort', ''],
    ['compiled', 'yes', 1],
    ['sha256', 'abc', 'A'.repeat(64), 'g'.repeat(64), '0'.repeat(65)],
    ['bytes', 0, -1, 1.5, '232589'],
    ['input', [], 'x', 3],
    ['input.width', 0, -640, 640.5, '640'],
    ['input.height', 0, -640, 640.5, '640'],
    ['input.multipleOf', 0, 1.5, '32'],
    ['input.layout', 'CHW', 'nchw'],
    ['input.dtype', 'float16', 'int8'],
    ['input.colorOrder', 'GBR', 'rgb'],
    ['input.mean', 0, [0, 0], [0, 0, 0, 0], [0, '0', 0]],
    ['input.std', 1, [1, 1], [1, 1, 1, 1], [1, null, 1]],
    ['input.maxBatch', 0, 2.5, '1'],
    ['outputs', [], {}, 'cls'],
    ['outputs.0', null, 'cls_8'],
    ['outputs.0.name', '', 8],
    ['outputs.0.dims', 6400, [1, '6400'], [1.5]],
    ['detection', 'x', 3, []],
    ['detection.passes', [], {}],
    ['detection.passes.0', null, 'first'],
    ['detection.passes.0.border', -0.1, 4.1, '0'],
    ['detection.passes.0.minDetectionScore', -0.1, 1.1, '0.5'],
    ['detection.passes.0.inputSide', 31, 64.5, '320'],
    ['detection.nmsIou', -0.1, 1.1, '0.3'],
    ['detection.enlarge', 'true', 1],
    ['detection.landmarkModel', 68],
    ['detection.minSizes', 16],
    ['detection.strides', 8, [8, 16, 32.5], ['8', 16, 32], [0, 0, 0], [-8, 16, 32], []],
    ['license.name', '', 7],
    ['license.commercialUse', 'yes', 1],
    ['license.note', 7],
    ['source', '', 7],
    ['download', 'x', []],
    [
      'download.url',
      'http://publisher.example/yunet.onnx',
      'https://publisher.example',
      'https://publisher.example/models/',
      'https://publisher.example/..',
      'https://publisher.example/a%2Fb',
      'https://publisher.example/yunet.onnx?raw=true',
      'https:///yunet.onnx',
      7,
    ],
    ['download.pack', 'x', []],
  ])('names %s where its value is wrong', (path, ...values) => {
    for (const value of values) {
      expect([value, problemsOf('yunet', set(path, value))]).toEqual([value, names(path)]);
    }
  });

  it.each<[path: string, ...values: unknown[]]>([
    ['embedding', 'x', 3],
    ['embedding.dimensions', 0, 128.5, '128'],
    ['embedding.mirrorAverage', 'no', 0],
    ['embedding.thresholds', [], 'x'],
    ['embedding.thresholds.cosine', [], 0.4],
    ['embedding.thresholds.cosine.maxDistance', -0.1, '0.6'],
    ['embedding.thresholds.cosine.source', '', 7],
    ['embedding.thresholds.euclidean', 0.4],
    ['embedding.thresholds.angular', 'x'],
  ])('names %s of an embedder where its value is wrong', (path, ...values) => {
    for (const value of values) {
      expect([value, problemsOf('sface', set(path, value))]).toEqual([value, names(path)]);
    }
  });

  it.each<[path: string, ...values: unknown[]]>([
    ['download.pack.entry', undefined, 'pack/det.onnx', '..\\det.onnx', 'det.pth'],
    ['download.pack.sha256', undefined, 'abc', 'A'.repeat(64)],
    ['download.pack.bytes', 0, 1.5, '1'],
  ])('names %s of a pack where its value is wrong', (path, ...values) => {
    for (const value of values) {
      expect([value, problemsOf('scrfd-500m', set(path, value))]).toEqual([value, names(path)]);
    }
  });

  it.each<[card: string, path: string, value: unknown, named: string]>([
    ['retinaface-mnet025', 'detection.minSizes', [1, 2, 3], 'detection.minSizes'],
    ['retinaface-mnet025', 'detection.minSizes', [[], [], []], 'detection.minSizes'],
    ['retinaface-mnet025', 'detection.minSizes', [['a'], [1], [2]], 'detection.minSizes'],
    ['yunet', 'detection.passes.0.inputSide', 2000, 'detection.passes.inputSide'],
    ['sface', 'input.height', 96, 'input.height'],
    ['sface', 'input.multipleOf', 16, 'input.multipleOf'],
  ])('refuses %s with %s of %j, which the pipeline could not work with', (card, path, value, named) => {
    expect(problemsOf(card, set(path, value)).join()).toContain(named);
  });

  describe('of models like those of DeepFace', () => {
    const age = { task: 'age', family: 'upright-crop', outputs: [{ dims: [-1, 101] }] };
    const labeled = (task: string, labels?: unknown, classes = 2) => ({
      task,
      family: 'upright-crop',
      outputs: [{ dims: [-1, classes] }],
      labels,
    });
    const emotions = ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'];
    const embedder = (input: object) => (card: Json) =>
      Object.assign(card, { family: 'upright-crop', input: { ...(card.input as Json), ...input } });
    const attribute = (given: object) => (card: Json) => Object.assign(card, given);
    const gray = { width: 48, height: 48, channels: 1, mean: [0], std: [255], dtype: 'float32' };

    it.each<[string, string, (card: Json) => void]>([
      ['an embedder turned to another alignment', 'sface', set('family', 'upright-crop')],
      ['an embedder of 47 x 55', 'sface', embedder({ width: 47, height: 55 })],
      ['an embedder that standardises', 'sface', embedder({ standardize: 'image' })],
      ['an age of 101 classes', 'face-expression', attribute(age)],
      ['a gender', 'face-expression', attribute(labeled('gender', ['female', 'male']))],
      ['a race', 'face-expression', attribute(labeled('race', ['asian', 'middle eastern', 'white'], 3))],
      ['an expression', 'face-expression', attribute({ labels: emotions, family: 'upright-crop' })],
      [
        'a gray expression',
        'face-expression',
        attribute({ input: { ...(read('face-expression').input as Json), ...gray } }),
      ],
    ])('takes %s', (_, name, change) => {
      expect(problemsOf(name, change)).toEqual([]);
    });

    it.each<[string, string, (card: Json) => void, string]>([
      ['a tall input of another family', 'sface', set('input.width', 47), 'input.height must be'],
      ['another standardisation', 'sface', set('input.standardize', 'batch'), 'input.standardize: '],
      [
        'standardize beside std',
        'sface',
        embedder({ standardize: 'image', std: [255, 255, 255] }),
        'for input.standardize',
      ],
      [
        'standardize of bytes',
        'sface',
        embedder({ standardize: 'image', dtype: 'uint8' }),
        'for input.standardize',
      ],
      ['two channels', 'face-expression', set('input.channels', 2), 'input.channels: '],
      [
        'a mean for three of one channel',
        'face-expression',
        set('input.channels', 1),
        'input.mean: must have 1 numbers',
      ],
      [
        'a gray embedder',
        'sface',
        embedder({ channels: 1, mean: [0], std: [1] }),
        'input.channels must be 3',
      ],
      [
        'one class of age',
        'face-expression',
        attribute({ ...age, outputs: [{ dims: [-1, 1] }] }),
        'for task age',
      ],
      [
        'a gender without labels',
        'face-expression',
        attribute(labeled('gender')),
        'labels are required for task gender',
      ],
      [
        'a race without labels',
        'face-expression',
        attribute(labeled('race')),
        'labels are required for task race',
      ],
      [
        'a gender of other labels',
        'face-expression',
        attribute(labeled('gender', ['Woman', 'Man'])),
        'labels of task gender must be male, female',
      ],
      [
        'too few labels',
        'face-expression',
        attribute(labeled('race', ['a', 'b'], 6)),
        'labels must be as many',
      ],
      ['a label twice', 'face-expression', attribute(labeled('race', ['a', 'a'])), 'labels: '],
      [
        'an expression of other labels',
        'face-expression',
        set('labels', [...emotions.slice(1), 'anger']),
        'labels of task expression',
      ],
      [
        'eight expressions without labels',
        'face-expression',
        set('outputs.0.dims', [-1, 8]),
        'outputs.0.dims must end in 7',
      ],
      ['labels of an embedder', 'sface', set('labels', ['a', 'b']), 'labels are not allowed for task embed'],
    ])('refuses %s', (_, name, change, problem) => {
      expect(problemsOf(name, change).join()).toContain(problem);
    });
  });

  describe('calibration', () => {
    const at = 'embedding.calibration';
    it('takes the place of the threshold of cosine, and nothing else does', () => {
      for (const path of ['embedding.thresholds', 'embedding.thresholds.cosine']) {
        expect(problemsOf('sface', set(path, undefined))).toEqual([
          'embedding.thresholds.cosine is required without embedding.calibration',
        ]);
        const withCalibration = (card: Json) => {
          set(path, undefined)(card);
          set(at, sampleCalibration())(card);
        };
        expect(problemsOf('sface', withCalibration)).toEqual([]);
      }
      expect(problemsOf('sface', set(at, sampleCalibration()))).toEqual([]);
    });

    it.each<[path: string, ...values: unknown[]]>([
      ['date', undefined, '28.11.2026', '2026-11-28T10:00:00Z', 7],
      ['detector', undefined, '', 7],
      ['sets', undefined, [], 'x', [7]],
      ['sets.0.name', undefined, ''],
      ['sets.0.people', undefined, 1, 2.5, '9'],
      ['sets.0.photos', undefined, 1],
      ['sets.0.nonMatedPairs', undefined, 0],
      ['sets.0.matedPairs', undefined, -1],
      ['points', undefined, 'x', [7]],
      ['points.0.fmr', undefined, 0, 0.6, '0.5'],
      ['points.0.minSimilarity', undefined, -1.1, 1.1],
      ['points.0.falseMatches', undefined, -1, 0.5],
      ['points.0.nonMatedPairs', undefined, 0],
      ['points.0.fnmr', undefined, -0.1, 1.1],
      ['points.0.isExtrapolated', undefined, 'no'],
    ])('names %s where it is wrong', (path, ...values) => {
      for (const value of values) {
        const problems = problemsOf('sface', (card) => {
          set(at, sampleCalibration())(card);
          set(`${at}.${path}`, value)(card);
        });
        expect([value, problems.join()]).toEqual([value, expect.stringContaining(`${at}.${path}`)]);
      }
    });

    it.each<[what: string, change: (points: CalibrationPoint[]) => unknown, problem: string]>([
      ['a point is missing', (points) => points.pop(), 'must be for fmr 0.5'],
      ['a point is too many', (points) => points.push({ ...points[6], minSimilarity: 0.9 }), 'for fmr 0.5'],
      ['a rate is another', (points) => (points[3].fmr = 0.002), 'must be for fmr 0.5'],
      ['rates are out of order', (points) => points.reverse(), 'must be for fmr 0.5'],
      ['the similarity falls', (points) => (points[4].minSimilarity = 0.26), 'must rise strictly'],
      [
        'the similarity stays',
        (points) => (points[4].minSimilarity = points[3].minSimilarity),
        'rise strictly',
      ],
    ])('is refused where %s', (_, change, problem) => {
      const given = sampleCalibration();
      change(given.points);
      expect(problemsOf('sface', set(at, given)).join()).toContain(problem);
    });

    it('may lack the FNMR where no pair is of one person', () => {
      const problems = problemsOf('sface', (card) => {
        set(at, sampleCalibration())(card);
        set(`${at}.points.0.fnmr`, null)(card);
      });
      expect(problems).toEqual([]);
    });
  });

  it.each(['euclidean', 'euclidean_l2', 'angular'])(
    'checks the threshold of %s as that of cosine',
    (metric) => {
      const path = `embedding.thresholds.${metric}`;
      const given = { maxDistance: 1, source: 'measured' };
      expect(problemsOf('sface', set(path, given))).toEqual([]);
      expect(problemsOf('sface', set(path, { ...given, maxDistance: -1 }))).toEqual(
        names(`${path}.maxDistance`),
      );
      expect(problemsOf('sface', set(path, { maxDistance: 1 }))).toEqual(names(`${path}.source`));
    },
  );

  it.each([
    ['yunet', 'color'],
    ['yunet', 'input.widht'],
    ['yunet', 'outputs.11.shape'],
    ['yunet', 'detection.minScore'],
    ['yunet', 'detection.passes.1.minScore'],
    ['yunet', 'license.spdx'],
    ['yunet', 'download.sha256'],
    ['scrfd-500m', 'download.pack.file'],
    ['sface', 'embedding.metric'],
    ['sface', 'embedding.thresholds.manhattan'],
    ['sface', 'embedding.thresholds.cosine.unit'],
  ])('names the field of %s that no card has: %s', (name, path) => {
    expect(problemsOf(name, set(path, 1))).toEqual([
      expect.stringMatching(`^${path}: property .* should not exist$`),
    ]);
  });

  it('names every wrong field at once', () => {
    const problems = problemsOf('yunet', (card) => {
      set('input.width', 0)(card);
      set('detection.passes.1.border', 9)(card);
      set('license.name', '')(card);
    });
    for (const path of ['input.width', 'detection.passes.1.border', 'license.name']) {
      expect(problems).toEqual(names(path));
    }
    expect(problems).toHaveLength(3);
  });

  it.each<[text: string, name: string, path: string, value: unknown]>([
    ['name', 'yunet', 'name', 'other'],
    ['family of task detect', 'yunet', 'family', 'arcface-112'],
    ['family of task embed', 'sface', 'family', 'yunet'],
    ['detection is required for task detect', 'yunet', 'detection', undefined],
    ['detection is required for task detect', 'sface', 'detection', read('yunet').detection],
    ['embedding is required for task embed', 'sface', 'embedding', undefined],
    ['embedding is required for task embed', 'yunet', 'embedding', read('sface').embedding],
    ['either file or compiled', 'yunet', 'file', undefined],
    ['either file or compiled', 'yunet', 'compiled', true],
    ['either file or compiled', 'face-resnet-128', 'compiled', undefined],
    ['either file or compiled', 'face-resnet-128', 'compiled', false],
    ['either file or compiled', 'face-resnet-128', 'file', 'mine.onnx'],
    [
      'download cannot be combined',
      'face-resnet-128',
      'download',
      { url: 'https://publisher.example/a.onnx' },
    ],
    ['input.std', 'yunet', 'input.std', [1, 1, 0]],
    ['input.mean', 'face-resnet-128', 'input.mean', [0, 0, 1]],
    ['input.std 1', 'face-resnet-128', 'input.std', [1, 1, 255]],
    ['embedding.dimensions', 'sface', 'outputs.0.dims', [-1, 512]],
    ['outputs', 'yunet', 'outputs', (read('yunet').outputs as unknown[]).slice(1)],
    ['outputs', 'scrfd-500m', 'outputs', (read('scrfd-500m').outputs as unknown[]).slice(1)],
    ['outputs', 'retinaface-mnet025', 'outputs', (read('retinaface-mnet025').outputs as unknown[]).slice(1)],
    ['outputs', 'ssd-mobilenetv1', 'outputs', (read('ssd-mobilenetv1').outputs as unknown[]).slice(1)],
    ['detection.landmarkModel', 'ssd-mobilenetv1', 'detection.landmarkModel', undefined],
    ['detection.strides', 'retinaface-mnet025', 'detection.strides', [8, 16]],
    ['detection.minSizes', 'retinaface-mnet025', 'detection.minSizes', undefined],
  ])('says "%s" where %s does not fit together', (text, name, path, value) => {
    const problems = problemsOf(name, set(path, value));
    expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(text)]));
  });

  it.each([[null], [undefined], ['text'], [3], [true], [[]], [[{}]]])('refuses %j for a card', (value) => {
    expect(() => parseModelCard(value, 'x.json')).toThrow(
      expect.objectContaining({
        code: 'MODEL_INVALID',
        message: 'The model card x.json is malformed: not a JSON object.',
        details: { card: 'x.json' },
      }),
    );
  });

  it('takes a card without the fields that may be absent', () => {
    for (const path of ['bytes', 'sha256', 'detection.strides', 'outputs.0.name', 'download']) {
      expect([path, problemsOf('yunet', set(path, undefined))]).toEqual([path, []]);
    }
    expect(problemsOf('retinaface-mnet025', set('input.multipleOf', undefined))).toEqual([]);
  });
});
