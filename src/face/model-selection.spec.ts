import type { ModelCard, ModelTask } from '../models/model-card';
import type { StoredModel } from '../models/model-store';
import { ATTRIBUTES } from '../pipeline/face.types';
import {
  attributeServers,
  isDefault,
  type ModelSelection,
  modelsToLoad,
  withAllowedModels,
  withModel,
  withoutModel,
  withSwapped,
} from './model-selection';

const TASKS: Record<string, [task: ModelTask, landmarkModel?: string]> = {
  ssd: ['detect', 'points'],
  yunet: ['detect'],
  points: ['landmarks'],
  resnet: ['embed'],
  sface: ['embed'],
  age: ['age-gender'],
  mood: ['expression'],
  live: ['presentation-attack'],
  flat: ['presentation-attack'],
  years: ['age'],
  sex: ['gender'],
  feeling: ['expression'],
  origin: ['race'],
};
const store = new Map<string, StoredModel>(
  Object.entries(TASKS).map(([name, [task, landmarkModel]]) => [
    name,
    { path: `${name}.onnx`, card: { name, task, detection: { landmarkModel } } as unknown as ModelCard },
  ]),
);
const selection: ModelSelection = {
  detectors: ['ssd'],
  embedders: ['resnet'],
  attributeModels: ['age'],
  attributes: ATTRIBUTES,
  attackModels: ['live'],
};
const refuses = (work: () => unknown, code: string) =>
  expect(work).toThrow(expect.objectContaining({ code }) as Error);

describe(modelsToLoad.name, () => {
  it('adds the landmark models of the detectors', () => {
    expect(modelsToLoad(selection, store)).toEqual(['ssd', 'points', 'resnet', 'age', 'live']);
  });

  it.each([
    [{ ...selection, detectors: ['resnet'] }, 'resnet is not a detector: its task is embed'],
    [{ ...selection, embedders: ['age'] }, 'age is not an embedder: its task is age-gender'],
    [
      { ...selection, attributeModels: ['points'] },
      'points is not an attribute model: its task is landmarks',
    ],
    [
      { ...selection, attackModels: ['age'] },
      'age is not a presentation attack model: its task is age-gender',
    ],
  ])('refuses a model in the place of another task: %j', (wrong, message) => {
    expect(() => modelsToLoad(wrong, store)).toThrow(message);
  });
});

describe(withAllowedModels.name, () => {
  const noExpression: ModelSelection = { ...selection, attributes: ['age', 'gender', 'race'] };

  it('leaves out models that estimate nothing that is offered', () => {
    const asked = { ...noExpression, attributeModels: ['age', 'mood', 'feeling'] };
    expect(withAllowedModels(asked, store).attributeModels).toEqual(['age']);
    expect(withAllowedModels({ ...asked, attributes: [] }, store).attributeModels).toEqual([]);
    expect(withAllowedModels({ ...asked, attributes: ATTRIBUTES }, store).attributeModels).toHaveLength(3);
  });

  it('keeps an operator from loading one later', () => {
    refuses(() => withModel(noExpression, 'mood', store), 'MODEL_LOAD_FAILED');
    expect(withModel(noExpression, 'origin', store).attributeModels).toContain('origin');
  });
});

describe(withModel.name, () => {
  it.each([
    ['yunet', { ...selection, detectors: ['ssd', 'yunet'] }],
    ['sface', { ...selection, embedders: ['resnet', 'sface'] }],
    ['mood', { ...selection, attributeModels: ['age', 'mood'] }],
    ['flat', { ...selection, attackModels: ['live', 'flat'] }],
  ])('adds %s after those of its task', (name, expected) => {
    expect(withModel(selection, name, store)).toEqual(expected);
  });

  it('leaves what is there', () => {
    expect(withModel(selection, 'ssd', store)).toBe(selection);
  });

  it('refuses what has no card, and landmark models, which come with their detector', () => {
    refuses(() => withModel(selection, 'nobody', store), 'MODEL_UNKNOWN');
    refuses(() => withModel(selection, 'points', store), 'MODEL_LOAD_FAILED');
  });
});

describe(withoutModel.name, () => {
  it('takes a model out', () => {
    const more = withModel(withModel(selection, 'yunet', store), 'sface', store);
    expect(withoutModel(more, 'yunet', store)).toEqual({ ...more, detectors: ['ssd'] });
    expect(withoutModel(more, 'age', store)).toEqual({ ...more, attributeModels: [] });
  });

  it('refuses defaults, what a detector needs, what is not loaded and what is unknown', () => {
    refuses(() => withoutModel(selection, 'ssd', store), 'MODEL_IN_USE');
    refuses(() => withoutModel(selection, 'resnet', store), 'MODEL_IN_USE');
    refuses(() => withoutModel(selection, 'points', store), 'MODEL_IN_USE');
    refuses(() => withoutModel(selection, 'sface', store), 'MODEL_NOT_LOADED');
    refuses(() => withoutModel(selection, 'nobody', store), 'MODEL_UNKNOWN');
  });
});

describe(withSwapped.name, () => {
  it('puts the new model in the place of the old one, as the default too', () => {
    const swapped = withSwapped(selection, 'ssd', 'yunet', store);
    expect(swapped).toEqual({ ...selection, detectors: ['yunet'] });
    expect([isDefault(swapped, 'yunet'), isDefault(swapped, 'ssd')]).toEqual([true, false]);
    expect(modelsToLoad(swapped, store)).not.toContain('points');
  });

  it('lists a model once that was loaded already', () => {
    const both = withModel(selection, 'sface', store);
    expect(withSwapped(both, 'resnet', 'sface', store).embedders).toEqual(['sface']);
    expect(withSwapped(both, 'sface', 'resnet', store).embedders).toEqual(['resnet']);
  });

  it('takes the same name for itself, landmark models too', () => {
    expect(withSwapped(selection, 'resnet', 'resnet', store)).toBe(selection);
    expect(withSwapped(selection, 'points', 'points', store)).toBe(selection);
  });

  it('refuses another task, what is not loaded and what is unknown', () => {
    refuses(() => withSwapped(selection, 'ssd', 'sface', store), 'MODEL_UNKNOWN');
    refuses(() => withSwapped(selection, 'sface', 'resnet', store), 'MODEL_NOT_LOADED');
    refuses(() => withSwapped(selection, 'nobody', 'ssd', store), 'MODEL_UNKNOWN');
    refuses(() => withSwapped(selection, 'ssd', 'nobody', store), 'MODEL_UNKNOWN');
  });
});

describe(attributeServers.name, () => {
  const servers = (...attributeModels: string[]) =>
    attributeServers({ ...selection, attributeModels }, store);

  it('takes the first of the selection that estimates an attribute', () => {
    expect(servers('age', 'mood', 'years', 'sex', 'feeling', 'origin')).toEqual({
      age: 'age',
      gender: 'age',
      expression: 'mood',
      race: 'origin',
    });
    expect(servers('feeling', 'sex', 'age', 'mood')).toEqual({
      age: 'age',
      gender: 'sex',
      expression: 'feeling',
    });
  });

  it('has none for what no model estimates', () => {
    expect(servers()).toEqual({});
    expect(servers('origin')).toEqual({ race: 'origin' });
  });

  it('lets each of their tasks be loaded, added and swapped', () => {
    const more = { ...selection, attributeModels: ['years', 'sex', 'feeling', 'origin'] };
    expect(modelsToLoad(more, store)).toEqual(expect.arrayContaining(more.attributeModels));
    expect(withModel(selection, 'origin', store).attributeModels).toEqual(['age', 'origin']);
    expect(withSwapped(more, 'feeling', 'mood', store).attributeModels).toEqual([
      'years',
      'sex',
      'mood',
      'origin',
    ]);
    refuses(() => withSwapped(more, 'sex', 'origin', store), 'MODEL_UNKNOWN');
  });
});
