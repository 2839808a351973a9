import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FaceError } from '../errors';
import { embeddingContract } from './embedding-contract';
import { type ModelCard, parseModelCard } from './model-card';
import { onnxFileName, readModelStore, requireFile } from './model-store';

const cards = join(__dirname, '..', '..', 'models', 'cards');
const json = (name: string): Record<string, never> =>
  JSON.parse(readFileSync(join(cards, `${name}.json`), 'utf8'));
const failure = (work: () => unknown): FaceError => {
  try {
    work();
  } catch (error) {
    return error as FaceError;
  }
  throw new Error('It did not fail.');
};

describe(parseModelCard.name, () => {
  it.each(readdirSync(cards))('accepts %s', (file) => {
    const card = parseModelCard(JSON.parse(readFileSync(join(cards, file), 'utf8')), file);
    expect(`${card.name}.json`).toBe(file);
    // uint8 graphs normalise inside.
    if (card.input.dtype === 'uint8')
      expect([card.input.mean, card.input.std]).toEqual([
        [0, 0, 0],
        [1, 1, 1],
      ]);
    for (const threshold of Object.values(card.embedding?.thresholds ?? {})) {
      expect(threshold.source.length).toBeGreaterThan(10);
    }
  });

  const change = (path: string, value: unknown, name = 'yunet') => {
    const card = json(name);
    const keys = path.split('.');
    const last = keys.pop() as string;
    const target = keys.reduce<Record<string, unknown>>(
      (at, key) => at[key] as Record<string, unknown>,
      card,
    );
    if (value === undefined) delete target[last];
    else target[last] = value;
    return card;
  };
  it.each([
    ['name', 'other', 'name'],
    ['name', 'No Name', 'name'],
    ['task', 'recognise', 'task'],
    ['family', 'yolo', 'family'],
    ['sha256', 'abc', 'sha256'],
    ['file', '../outside.onnx', 'file'],
    ['file', undefined, 'file'],
    ['input.width', 0, 'input.width'],
    ['input.layout', 'CHW', 'input.layout'],
    ['input.colorOrder', undefined, 'input.colorOrder'],
    ['outputs', [], 'outputs'],
    ['outputs.0.dims', 'many', 'dims'],
    ['detection.passes', [], 'detection.passes'],
    ['detection.passes.0.minDetectionScore', 2, 'minDetectionScore'],
    ['detection', undefined, 'detection'],
    ['license.commercialUse', 'yes', 'license.commercialUse'],
    ['source', '', 'source'],
    ['colour', 'blue', 'colour'],
    ['input', undefined, 'input'],
    ['input', [], 'input'],
    ['input.mean', [0, 0], 'input.mean'],
    ['input.std', [1, 1, 1, 1], 'input.std'],
    ['input.std', [1, 0, 1], 'input.std'],
    ['license', undefined, 'license'],
    ['outputs', [{ dims: [1, 1] }], 'outputs'],
  ])('refuses %s = %j, naming it', (path, value, named) => {
    const error = failure(() => parseModelCard(change(path, value), 'yunet.json'));
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('yunet.json');
    expect(error.message).toContain(named);
  });

  it.each([
    ['sface', 'embedding.thresholds.cosine', undefined, 'embedding.thresholds.cosine'],
    ['sface', 'embedding.dimensions', 512, 'embedding.dimensions'],
    ['age-gender', 'outputs', [{ dims: [-1, 1] }], 'outputs'],
    ['face-resnet-128', 'input.mean', [127, 127, 127], 'input.mean'],
    ['ssd-mobilenetv1', 'detection.landmarkModel', undefined, 'detection.landmarkModel'],
    ['retinaface-mnet025', 'detection.minSizes', [[10, 20]], 'detection.minSizes'],
    ['retinaface-mnet025', 'detection.strides', undefined, 'detection.strides'],
  ])('refuses %s with %s = %j, which its family cannot work with', (name, path, value, named) => {
    const error = failure(() => parseModelCard(change(path, value, name), `${name}.json`));
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain(named);
  });

  it.each([[null], ['text'], [[]], [3]])('refuses %j', (value) => {
    expect(failure(() => parseModelCard(value, 'x.json')).code).toBe('MODEL_INVALID');
  });
});

describe(readModelStore.name, () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'likeness-store-'))));
  afterEach(() => rmSync(dir, { recursive: true }));
  const folder = (name: string) => {
    mkdirSync(join(dir, name), { recursive: true });
    return join(dir, name);
  };

  it('lists cards without a file as absent, and takes the file of the first folder that has it', async () => {
    const [first, second] = [folder('first'), folder('second')];
    const file = onnxFileName(json('yunet') as unknown as ModelCard);
    writeFileSync(join(second, file), 'second');
    expect((await readModelStore([cards], [first, second])).get('yunet')?.path).toBe(join(second, file));
    writeFileSync(join(first, file), 'first');
    const store = await readModelStore([cards, join(dir, 'nowhere')], [first, second]);
    expect(store.get('yunet')?.path).toBe(join(first, file));
    expect(store.get('sface')?.path).toBeNull();
    expect(requireFile(store, 'yunet').path).toBe(join(first, file));
  });

  it('lets a later folder of cards replace a card', async () => {
    const mine = folder('cards');
    cpSync(join(cards, 'yunet.json'), join(mine, 'yunet.json'));
    writeFileSync(join(mine, 'yunet.json'), JSON.stringify({ ...json('yunet'), title: 'Mine' }));
    const store = await readModelStore([cards, mine], []);
    expect(store.get('yunet')?.card.title).toBe('Mine');
    expect(store.size).toBe(readdirSync(cards).length);
  });

  it('names a card that is no JSON', async () => {
    const mine = folder('cards');
    writeFileSync(join(mine, 'broken.json'), '{');
    await expect(readModelStore([mine], [])).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('broken.json'),
    });
  });

  it('says what is missing of a model that is asked for', async () => {
    writeFileSync(join(dir, 'retinaface_resnet50.onnx'), '');
    const store = await readModelStore([cards], [dir]);
    expect(failure(() => requireFile(store, 'nothing')).code).toBe('MODEL_NOT_FOUND');
    expect(failure(() => requireFile(store, 'sface')).message).toContain(
      'face_recognition_sface_2021dec.onnx',
    );
    expect(failure(() => requireFile(store, 'retinaface-resnet50')).message).toContain('sha256');
  });

  it('tells no card, no file and no sha256 apart, and never says a folder', async () => {
    writeFileSync(join(dir, 'retinaface_resnet50.onnx'), '');
    const store = await readModelStore([cards], [dir]);
    const [noCard, noFile, noSum] = ['nothing', 'sface', 'retinaface-resnet50'].map((name) =>
      failure(() => requireFile(store, name)),
    );
    expect(noCard).toMatchObject({
      code: 'MODEL_NOT_FOUND',
      details: { model: 'nothing', available: [...store.keys()] },
    });
    expect(noFile).toMatchObject({
      code: 'MODEL_NOT_FOUND',
      details: { model: 'sface', file: 'face_recognition_sface_2021dec.onnx' },
    });
    expect(noFile.message).toContain(json('sface').source);
    expect(noSum).toMatchObject({ code: 'MODEL_INVALID', details: { model: 'retinaface-resnet50' } });
    expect(noSum.message).toContain('retinaface_resnet50.onnx');
    for (const { message, details } of [noCard, noFile, noSum]) {
      expect(message + JSON.stringify(details)).not.toContain(dir);
    }
  });

  it('asks for the file before it asks for a sha256', async () => {
    const store = await readModelStore([cards], [dir]);
    expect(failure(() => requireFile(store, 'retinaface-resnet50')).code).toBe('MODEL_NOT_FOUND');
  });

  it('looks for the file and the sha256 that the replacing card names', async () => {
    const mine = folder('cards');
    const card = { ...json('retinaface-resnet50'), file: 'mine.onnx', sha256: '0'.repeat(64) };
    writeFileSync(join(mine, 'retinaface-resnet50.json'), JSON.stringify(card));
    writeFileSync(join(dir, 'retinaface_resnet50.onnx'), '');
    const load = () => readModelStore([cards, mine], [dir]);
    expect((await load()).get('retinaface-resnet50')?.path).toBeNull();
    writeFileSync(join(dir, 'mine.onnx'), '');
    const found = requireFile(await load(), 'retinaface-resnet50');
    expect(found.path).toBe(join(dir, 'mine.onnx'));
    expect(found.card.sha256).toBe('0'.repeat(64));
  });

  it('adds the cards of a later folder, and passes over files that are no cards', async () => {
    const mine = folder('cards');
    writeFileSync(join(mine, 'mine.json'), JSON.stringify({ ...json('yunet'), name: 'mine' }));
    writeFileSync(join(mine, 'notes.txt'), '{');
    const store = await readModelStore([cards, mine], []);
    expect(store.size).toBe(readdirSync(cards).length + 1);
    expect(store.get('mine')?.card.name).toBe('mine');
  });

  it('names a card of the right JSON and the wrong fields, and one whose name is not that of its file', async () => {
    const mine = folder('cards');
    writeFileSync(join(mine, 'yunet.json'), JSON.stringify({ ...json('yunet'), task: 'verify' }));
    await expect(readModelStore([cards, mine], [])).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(/yunet\.json.*task: /),
    });
    writeFileSync(join(mine, 'yunet.json'), JSON.stringify(json('sface')));
    await expect(readModelStore([cards, mine], [])).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(/yunet\.json.*sface/),
    });
  });

  it('has no models without folders', async () => {
    expect((await readModelStore([], [dir])).size).toBe(0);
    expect((await readModelStore([join(dir, 'nowhere')], [])).size).toBe(0);
  });

  it('names the file of a compiled model after the model and what it was compiled from', async () => {
    const store = await readModelStore([cards], []);
    const compiled = [...store.values()].filter(({ card }) => card.compiled);
    expect(compiled.length).toBeGreaterThan(0);
    for (const { card } of compiled) {
      expect(onnxFileName(card)).toMatch(new RegExp(`^${card.name}\\.[0-9a-f]{8}\\.onnx$`));
    }
  });
});

describe(embeddingContract.name, () => {
  const base = () => json('face-resnet-128') as unknown as ModelCard;

  it('is stable, and the same whatever does not change an embedding', () => {
    expect(embeddingContract(base())).toMatch(/^[0-9a-f]{12}$/);
    const renamed = { ...base(), name: 'other', title: 'Other', source: 'elsewhere' };
    expect(embeddingContract(renamed)).toBe(embeddingContract(base()));
  });

  it('changes with weights, preprocessing, alignment and normalisation', () => {
    const { input, embedding } = base();
    const variants: Partial<ModelCard>[] = [
      {},
      { sha256: '0'.repeat(64) },
      { family: 'arcface-112' },
      { input: { ...input, width: 112 } },
      { input: { ...input, colorOrder: 'BGR' } },
      { input: { ...input, mean: [1, 0, 0] } },
      { input: { ...input, std: [1, 2, 1] } },
      { embedding: { ...embedding!, mirrorAverage: false } },
      { embedding: { ...embedding!, dimensions: 64 } },
    ];
    const contracts = variants.map((variant) => embeddingContract({ ...base(), ...variant }));
    expect(new Set(contracts).size).toBe(variants.length);
  });
});
