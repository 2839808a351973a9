import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FaceError } from '../errors';
import type { ModelCard } from './model-card';
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
    expect(noFile.message).toMatch(/ npx likeness models pull sface$/);
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
