import { FaceError } from '../errors';
import { ATTRIBUTES_OF_TASK, type ModelCard, type ModelTask } from '../models/model-card';
import type { StoredModel } from '../models/model-store';
import type { Attribute } from '../pipeline/face.types';
import type { ResolvedFaceOptions } from './face.options';

/** Names of the models to load, in order: the first detector and the first embedder are the defaults. */
export type ModelSelection = Readonly<
  Pick<ResolvedFaceOptions, 'detectors' | 'embedders' | 'attributeModels' | 'attributes' | 'attackModels'>
>;

type Store = ReadonlyMap<string, StoredModel>;

const LIST_OF_TASK = {
  detect: 'detectors',
  embed: 'embedders',
  'age-gender': 'attributeModels',
  age: 'attributeModels',
  gender: 'attributeModels',
  expression: 'attributeModels',
  race: 'attributeModels',
  'presentation-attack': 'attackModels',
} as const satisfies Partial<Record<ModelTask, keyof ModelSelection>>;

const ATTRIBUTE_TASKS = Object.keys(ATTRIBUTES_OF_TASK) as ModelTask[];

/**
 * Names of all models that a selection loads, landmark models of the detectors included.
 *
 * @throws {FaceError} MODEL_INVALID for a model of the wrong task.
 */
export function modelsToLoad(selection: ModelSelection, store: Store): string[] {
  const { detectors, embedders, attributeModels, attackModels } = selection;
  const check = (names: readonly string[], what: string, ...tasks: ModelTask[]) => {
    const wrong = names
      .map((name) => store.get(name)?.card)
      .find((card) => card && !tasks.includes(card.task));
    if (wrong == null) return;
    throw new FaceError('MODEL_INVALID', `Model ${wrong.name} is not ${what}: its task is ${wrong.task}.`, {
      model: wrong.name,
    });
  };
  check(detectors, 'a detector', 'detect');
  check(embedders, 'an embedder', 'embed');
  check(attributeModels, 'an attribute model', ...ATTRIBUTE_TASKS);
  check(attackModels, 'a presentation attack model', 'presentation-attack');
  const landmarkModels = detectors.flatMap((name) => store.get(name)?.card.detection?.landmarkModel ?? []);
  check(landmarkModels, 'a landmark model', 'landmarks');
  return [...new Set([...detectors, ...landmarkModels, ...embedders, ...attributeModels, ...attackModels])];
}

/** The selection without the models that estimate none of its `attributes`. */
export function withAllowedModels(selection: ModelSelection, store: Store): ModelSelection {
  const attributeModels = selection.attributeModels.filter((name) => {
    const card = store.get(name)?.card;
    return card == null || isAllowed(card, selection);
  });
  return { ...selection, attributeModels };
}

/**
 * The selection with one more model; unchanged where it has the model already.
 *
 * @throws {FaceError} MODEL_UNKNOWN without a card; MODEL_LOAD_FAILED for a landmark model, which comes with its detector, and
 * for a model that estimates none of the `attributes`.
 */
export function withModel(selection: ModelSelection, name: string, store: Store): ModelSelection {
  const card = requireCard(name, store);
  if (!isAllowed(card, selection)) {
    throw new FaceError(
      'MODEL_LOAD_FAILED',
      `Model ${name} estimates only attributes that this service does not offer.`,
      {
        model: name,
        reason: 'FEATURE_OFF',
      },
    );
  }
  const list = listOf(card);
  return selection[list].includes(name) ? selection : { ...selection, [list]: [...selection[list], name] };
}

/**
 * The selection without a model.
 *
 * @throws {FaceError} MODEL_NOT_LOADED; MODEL_IN_USE for a default, and for a landmark model.
 */
export function withoutModel(selection: ModelSelection, name: string, store: Store): ModelSelection {
  const card = requireCard(name, store);
  requireSelected(selection, name, store);
  if (card.task === 'landmarks') {
    throw inUse(name, 'is needed by a loaded detector: unload the detector instead.');
  }
  if (isDefault(selection, name)) throw inUse(name, 'is the default of its task: swap it instead.');
  const list = listOf(card);
  return { ...selection, [list]: selection[list].filter((other) => other !== name) };
}

/**
 * The selection with one model in the place of another of the same task.
 *
 * @throws {FaceError} MODEL_UNKNOWN without a card or for another task; MODEL_NOT_LOADED for the old one.
 */
export function withSwapped(
  selection: ModelSelection,
  name: string,
  replacement: string,
  store: Store,
): ModelSelection {
  requireSelected(selection, name, store);
  const [old, next] = [requireCard(name, store), requireCard(replacement, store)];
  if (old.task !== next.task) {
    throw new FaceError(
      'MODEL_UNKNOWN',
      `Expected a model of task ${old.task} for replacement but ${replacement} is of task ${next.task}.`,
      { field: 'replacement', model: replacement },
    );
  }
  if (name === replacement) return selection;
  const list = listOf(old);
  const others = selection[list].map((other) => (other === name ? replacement : other));
  return { ...selection, [list]: [...new Set(others)] };
}

/** Name of the model that serves each attribute: the first of the selection that estimates it. */
export function attributeServers(
  { attributeModels }: ModelSelection,
  models: ReadonlyMap<string, { card: ModelCard }>,
): Partial<Record<Attribute, string>> {
  const servers: Partial<Record<Attribute, string>> = {};
  for (const name of attributeModels) {
    const task = models.get(name)?.card.task;
    for (const attribute of (task && ATTRIBUTES_OF_TASK[task]) ?? []) servers[attribute] ??= name;
  }
  return servers;
}

/** Whether calls use this model when they name none of its task. */
export function isDefault({ detectors, embedders }: ModelSelection, name: string): boolean {
  return name === detectors[0] || name === embedders[0];
}

function isAllowed({ task }: ModelCard, { attributes }: ModelSelection): boolean {
  return ATTRIBUTES_OF_TASK[task]?.some((attribute) => attributes.includes(attribute)) ?? true;
}

/**
 * The card of that name.
 *
 * @throws {FaceError} MODEL_UNKNOWN.
 */
export function requireCard(name: string, store: Store): ModelCard {
  const model = store.get(name);
  if (model != null) return model.card;
  const available = [...store.keys()];
  throw new FaceError(
    'MODEL_UNKNOWN',
    `Expected a known model but received ${JSON.stringify(name.slice(0, 64))}. Known: ${available.join(', ')}.`,
    { field: 'model', available },
  );
}

function requireSelected(selection: ModelSelection, name: string, store: Store): void {
  requireCard(name, store);
  if (modelsToLoad(selection, store).includes(name)) return;
  throw new FaceError('MODEL_NOT_LOADED', `Model ${name} is not loaded.`, { model: name });
}

function listOf({ name, task }: ModelCard): (typeof LIST_OF_TASK)[keyof typeof LIST_OF_TASK] {
  if (task !== 'landmarks') return LIST_OF_TASK[task];
  throw new FaceError('MODEL_LOAD_FAILED', `Model ${name} is loaded with the detector that needs it.`, {
    model: name,
    reason: 'MODEL_IN_USE',
  });
}

function inUse(name: string, problem: string): FaceError {
  return new FaceError('MODEL_IN_USE', `Model ${name} ${problem}`, { model: name });
}
