import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';
import { FaceModel, type ModelStatus } from '../../face/face-model';
import type { Attribute, PresentationAttackPolicy } from '../../pipeline/face.types';
import type { ModelTask } from '../../models/model-card';
import { commandToGet } from '../../models/model-store';
import { DEEPFACE_THRESHOLDS, type DeepfaceModelName } from './confidence';

/** Equivalent of a DeepFace model. */
interface KnownModel {
  /** Cards in order of preference; the first loaded one is used. */
  cards: readonly string[];
  /** DeepFace file that `likeness models import` converts to the first card; absent if there is none. */
  weights?: string;
}

/** Embedders by DeepFace name. */
export const DEEPFACE_EMBEDDERS: Readonly<Record<string, KnownModel>> = {
  'VGG-Face': { cards: ['vgg-face'], weights: 'vgg_face_weights.h5' },
  Facenet: { cards: ['facenet'], weights: 'facenet_weights.h5' },
  Facenet512: { cards: ['facenet512'], weights: 'facenet512_weights.h5' },
  OpenFace: { cards: ['openface'], weights: 'openface_weights.h5' },
  DeepID: { cards: ['deepid'], weights: 'deepid_keras_weights.h5' },
  ArcFace: { cards: ['arcface'], weights: 'arcface_weights.h5' },
  GhostFaceNet: { cards: ['ghostfacenet'], weights: 'ghostfacenet_v1.h5' },
  SFace: { cards: ['sface'] },
  // Its weights are dlib's own.
  Dlib: { cards: ['face-resnet-128'] },
  Buffalo_L: { cards: ['arcface-w600k-r50'] },
};

/** Detectors by DeepFace name. */
export const DEEPFACE_DETECTORS: Readonly<Record<string, KnownModel>> = {
  retinaface: {
    cards: ['retinaface', 'retinaface-resnet50', 'retinaface-mnet025'],
    weights: 'retinaface.h5',
  },
  yunet: { cards: ['yunet', 'yunet-dynamic'] },
};

/** Runs no detector: the whole image is the face. */
export const SKIP = 'skip';

/** Sizes of each YOLO that DeepFace has. */
const YOLO_SIZES = { yolov8: 'nml', yolov11: 'nsml', yolov12: 'nsml' } as const;

/**
 * All names that DeepFace accepts, with or without an equivalent card; it refuses any other name.
 *
 * @see serengil/deepface@243209f:deepface/modules/modeling.py. `yolov8` is from versions before the sizes.
 */
export const DEEPFACE_NAMES: Readonly<Record<Part, readonly string[]>> = {
  model_name: [...Object.keys(DEEPFACE_EMBEDDERS), 'DeepFace'],
  detector_backend: [
    ...Object.keys(DEEPFACE_DETECTORS),
    ...['opencv', 'ssd', 'dlib', 'mtcnn', 'fastmtcnn', 'mediapipe', 'centerface', 'yolov8'],
    ...Object.entries(YOLO_SIZES).flatMap(([yolo, sizes]) => [...sizes].map((size) => yolo + size)),
  ],
};

/** Attribute and card of DeepFace's own model for each of the `actions` of /analyze. */
export const ACTIONS = {
  age: { attribute: 'age', card: 'age', weights: 'age_model_weights.h5' },
  gender: { attribute: 'gender', card: 'gender', weights: 'gender_model_weights.h5' },
  emotion: { attribute: 'expression', card: 'emotion', weights: 'facial_expression_model_weights.h5' },
  race: { attribute: 'race', card: 'race', weights: 'race_model_single_batch.h5' },
} as const satisfies Record<string, { attribute: Attribute; card: string; weights: string }>;
export type Action = keyof typeof ACTIONS;

/** Cards of DeepFace's anti-spoofing networks, and its weight files. */
const ANTI_SPOOFING = {
  'minifasnet-v2': '2.7_80x80_MiniFASNetV2.pth',
  'minifasnet-v1-se': '4_0_0_80x80_MiniFASNetV1SE.pth',
} as const;

/** A model that a request named, a substitute for it, or the default. */
interface NamedModel {
  /** Name in the response: the requested one; of a substitute and by default DeepFace's name for the card, if it has one. */
  name: string;
  /** Requested name, which is not loaded and which this model substitutes; `null`: none. */
  substitutes: string | null;
}

/** An embedder that a request named, a substitute for it, or the default. */
export interface NamedEmbedder extends NamedModel {
  card: string;
  /** DeepFace's name of the card, which selects the thresholds; `null`: none. */
  deepfaceName: DeepfaceModelName | null;
}

/** A detector that a request named, a substitute for it, or the default. */
export interface NamedDetector extends NamedModel {
  /** `null`: no detector runs. */
  card: string | null;
}

/** Whether another model may answer for a name of DeepFace that is not loaded. */
export type Substitution = 'allowed' | 'refused';

/** The actions of a call to /analyze. */
export interface ServedActions {
  served: Action[];
  /** Actions of DeepFace without a loaded model, which the response leaves out. */
  omitted: Action[];
}

type Part = 'model_name' | 'detector_backend';

const PARTS = {
  model_name: { task: 'embed', known: DEEPFACE_EMBEDDERS, variable: 'FACE_EMBEDDERS' },
  detector_backend: { task: 'detect', known: DEEPFACE_DETECTORS, variable: 'FACE_DETECTORS' },
} as const satisfies Record<
  Part,
  { task: ModelTask; known: Readonly<Record<string, KnownModel>>; variable: string }
>;

/**
 * Finds the loaded model for a name of the DeepFace API. Never loads one.
 *
 * Where the operator allows it (FACE_DEEPFACE_SUBSTITUTE), the default model answers for the names of DeepFace that are not
 * loaded. Fails at startup with FACE_OPTIONS_INVALID if an alias names an unknown card.
 */
@Injectable()
export class DeepfaceModels {
  private readonly aliases: Readonly<Record<string, string>>;
  /** Whether unloaded names are substituted; false: they are refused. */
  readonly hasSubstitutes: boolean;

  constructor(
    private readonly model: FaceModel,
    { deepface }: AppConfig,
  ) {
    this.aliases = deepface.aliases;
    this.hasSubstitutes = deepface.hasSubstitutes;
    const cards = this.model.models().map((status) => status.name);
    const known = [...cards, ...Object.keys(DEEPFACE_EMBEDDERS), ...Object.keys(DEEPFACE_DETECTORS)];
    for (const target of Object.values(this.aliases)) {
      if (known.includes(target)) continue;
      throw new FaceError(
        'FACE_OPTIONS_INVALID',
        'Environment variable FACE_DEEPFACE_ALIASES names an unknown card.',
        { variable: 'FACE_DEEPFACE_ALIASES' },
      );
    }
  }

  /**
   * Finds an embedder by the name of DeepFace, of an alias, or of a card.
   *
   * @param substitution - `refused` where embeddings leave the service or come from outside: those of another model would
   * pass for those of the requested one.
   * @throws {FaceError} MODEL_NOT_LOADED, with instructions to load it; MODEL_UNKNOWN.
   */
  embedder(name: string | undefined, substitution: Substitution): NamedEmbedder {
    const requested = name == null ? null : this.cardOf('model_name', name, substitution);
    const card = requested ?? this.model.defaultEmbedder;
    const deepfaceName = nameOf(card, DEEPFACE_EMBEDDERS);
    return {
      name: requested != null && name != null ? name : (deepfaceName ?? card),
      card,
      deepfaceName: deepfaceName != null && hasThreshold(deepfaceName) ? deepfaceName : null,
      substitutes: requested == null ? (name ?? null) : null,
    };
  }

  /**
   * Finds a detector by name, as {@link DeepfaceModels.embedder}. Detectors have substitutes on every route.
   *
   * @throws {FaceError} MODEL_NOT_LOADED, MODEL_UNKNOWN.
   */
  detector(name?: string): NamedDetector {
    if (name === SKIP) return { name, card: null, substitutes: null };
    const requested = name == null ? null : this.cardOf('detector_backend', name, 'allowed');
    const card = requested ?? this.model.defaultDetector;
    return {
      name: requested != null && name != null ? name : (nameOf(card, DEEPFACE_DETECTORS) ?? card),
      card,
      substitutes: requested == null ? (name ?? null) : null,
    };
  }

  /**
   * Resolves the actions: those requested, by default all four of DeepFace. Those without a loaded model are left out.
   *
   * @throws {FaceError} MODEL_NOT_LOADED, with instructions to load a model: if none of the requested actions has one, or
   * without substitutes, if one of them has none.
   */
  actions(given?: readonly Action[]): ServedActions {
    const attributes = this.model
      .models()
      .filter(({ state }) => state === 'loaded')
      .flatMap((model) => model.attributes ?? []);
    const all = Object.keys(ACTIONS) as Action[];
    const available = all.filter((action) => attributes.includes(ACTIONS[action].attribute));
    const requested = given ?? all;
    const served = requested.filter((action) => available.includes(action));
    const omitted = requested.filter((action) => !available.includes(action));
    const mayOmit = served.length > 0 && (this.hasSubstitutes || given == null);
    if (omitted.length === 0 || mayOmit) return { served, omitted };
    const [missing] = omitted;
    const { card, weights, attribute } = ACTIONS[missing];
    throw new FaceError(
      'MODEL_NOT_LOADED',
      `No model for action ${missing} is loaded. ${howToLoad(card, 'FACE_ATTRIBUTE_MODELS', this.stateOf(card), weights)}` +
        (available.length > 0 ? ` Loaded for: ${available.join(', ')}.` : ''),
      { field: 'actions', attribute, available },
    );
  }

  /**
   * Policy for `anti_spoofing`; by default that of the service.
   *
   * @throws {FaceError} MODEL_NOT_LOADED if it is requested without a loaded model, with instructions to load one.
   */
  presentationAttack(antiSpoofing?: boolean): PresentationAttackPolicy {
    if (antiSpoofing == null) return this.model.presentationAttack;
    if (!antiSpoofing) return 'off';
    const isLoaded = this.model
      .models()
      .some(({ task, state }) => task === 'presentation-attack' && state === 'loaded');
    if (isLoaded) return 'require';
    const imports = Object.entries(ANTI_SPOOFING).map(
      ([card, weights]) => `likeness models import ${card} ~/.deepface/weights/${weights}`,
    );
    throw new FaceError(
      'MODEL_NOT_LOADED',
      `anti_spoofing must be false: no presentation attack model is loaded. For the two of DeepFace: ${imports.join('; ')}. ` +
        `Then set FACE_PRESENTATION_ATTACK_MODELS=${Object.keys(ANTI_SPOOFING).join(',')}.`,
      { field: 'anti_spoofing', available: [] },
    );
  }

  /** @returns `null`: a name of DeepFace that is not loaded, for which the default model answers. */
  private cardOf(part: Part, name: string, substitution: Substitution): string | null {
    const { task, known, variable } = PARTS[part];
    const target = Object.hasOwn(this.aliases, name) ? this.aliases[name] : name;
    const model = Object.hasOwn(known, target) ? known[target] : null;
    const cards = model?.cards ?? [target];
    const ofTask = this.model.models().filter((status) => status.task === task);
    const loaded = ofTask.filter(({ state }) => state === 'loaded').map((status) => status.name);
    const serving = cards.find((card) => loaded.includes(card));
    if (serving != null) return serving;
    const isOfDeepface = DEEPFACE_NAMES[part].includes(name);
    if (this.hasSubstitutes && substitution === 'allowed' && isOfDeepface) return null;
    const available = loaded.map((card) => nameOf(card, known) ?? card);
    const list = `Loaded: ${available.join(', ')}.`;
    const shown = JSON.stringify(name.slice(0, 64));
    // Names of DeepFace are safe to print.
    const alias = isOfDeepface
      ? ` To use a loaded model under this name, set FACE_DEEPFACE_ALIASES=${name}=${loaded[0]}.`
      : '';
    const reason =
      this.hasSubstitutes && isOfDeepface
        ? ' No other model answers for it, because embeddings of different models do not compare.'
        : '';
    if (model != null || ofTask.some((status) => status.name === target)) {
      const card = cards.find((one) => this.stateOf(one) === 'available') ?? cards[0];
      throw new FaceError(
        'MODEL_NOT_LOADED',
        `${part} ${shown} is not loaded. ${howToLoad(card, variable, this.stateOf(card), model?.weights)} ${list}${alias}${reason}`,
        { field: part, available },
      );
    }
    throw new FaceError(
      'MODEL_UNKNOWN',
      isOfDeepface
        ? `${part} ${shown} of DeepFace is not available in this service. ${list}${alias}${reason}`
        : `${part} ${shown} is unknown. ${list}`,
      { field: part, available },
    );
  }

  private stateOf(card: string): ModelStatus['state'] {
    return this.model.models().find((status) => status.name === card)?.state ?? 'absent';
  }
}

/** The command that provides the file of a card, from DeepFace's weights if there are any. */
export function howToGet(card: string, weights?: string): string {
  return weights == null
    ? commandToGet(card)
    : `likeness models import ${card} ~/.deepface/weights/${weights}`;
}

/** Instructions to load a card, with or without its file. */
function howToLoad(card: string, variable: string, state: ModelStatus['state'], weights?: string): string {
  const first = state === 'absent' ? `Get its file first: ${howToGet(card, weights)}. Then add` : 'Add';
  return `${first} it to ${variable}=…,${card}, or load it now: POST /admin/models/${card}/load.`;
}

/** DeepFace's name for a card. */
function nameOf(card: string, known: Readonly<Record<string, KnownModel>>): string | undefined {
  return Object.keys(known).find((name) => known[name].cards.includes(card));
}

function hasThreshold(name: string): name is DeepfaceModelName {
  return Object.hasOwn(DEEPFACE_THRESHOLDS, name);
}
