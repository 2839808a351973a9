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

/** DeepFace names without an equivalent. */
const DEEPFACE_ONLY: readonly string[] = [
  'DeepFace',
  'opencv',
  'ssd',
  'dlib',
  'mtcnn',
  'fastmtcnn',
  'mediapipe',
  'centerface',
  'yolov8',
  ...['yolov8', 'yolov11', 'yolov12'].flatMap((yolo) => ['n', 's', 'm', 'l'].map((size) => `${yolo}${size}`)),
];

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

/** An embedder that a request named, or the default. */
export interface NamedEmbedder {
  /** Name in the response: the requested one; by default DeepFace's name, if it has one. */
  name: string;
  card: string;
  /** DeepFace's name of the card, which selects the thresholds; `null`: none. */
  deepfaceName: DeepfaceModelName | null;
}

/** A detector that a request named, or the default. */
export interface NamedDetector {
  /** As in {@link NamedEmbedder}. */
  name: string;
  /** `null`: no detector runs. */
  card: string | null;
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
 * Fails at startup with FACE_OPTIONS_INVALID if an alias names an unknown card.
 */
@Injectable()
export class DeepfaceModels {
  private readonly aliases: Readonly<Record<string, string>>;

  constructor(
    private readonly model: FaceModel,
    { deepface }: AppConfig,
  ) {
    this.aliases = deepface.aliases;
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
   * @throws {FaceError} MODEL_NOT_LOADED, with instructions to load it; MODEL_UNKNOWN.
   */
  embedder(name?: string): NamedEmbedder {
    const card = name == null ? this.model.defaultEmbedder : this.cardOf('model_name', name);
    const deepfaceName = nameOf(card, DEEPFACE_EMBEDDERS);
    return {
      name: name ?? deepfaceName ?? card,
      card,
      deepfaceName: deepfaceName != null && hasThreshold(deepfaceName) ? deepfaceName : null,
    };
  }

  /**
   * Finds a detector by name, as {@link DeepfaceModels.embedder}.
   *
   * @throws {FaceError} MODEL_NOT_LOADED, MODEL_UNKNOWN.
   */
  detector(name?: string): NamedDetector {
    if (name === SKIP) return { name, card: null };
    const card = name == null ? this.model.defaultDetector : this.cardOf('detector_backend', name);
    return { name: name ?? nameOf(card, DEEPFACE_DETECTORS) ?? card, card };
  }

  /**
   * Resolves the actions: those requested, by default all that have a loaded model.
   *
   * @throws {FaceError} MODEL_NOT_LOADED for an action without a loaded model, with instructions to load one.
   */
  actions(given?: readonly Action[]): Action[] {
    const attributes = this.model
      .models()
      .filter(({ state }) => state === 'loaded')
      .flatMap((model) => model.attributes ?? []);
    const all = Object.keys(ACTIONS) as Action[];
    const served = all.filter((action) => attributes.includes(ACTIONS[action].attribute));
    const missing = (given ?? (served.length > 0 ? [] : all)).find((action) => !served.includes(action));
    if (missing == null) return [...(given ?? served)];
    const { card, weights, attribute } = ACTIONS[missing];
    throw new FaceError(
      'MODEL_NOT_LOADED',
      `No model for action ${missing} is loaded. ${howToLoad(card, 'FACE_ATTRIBUTE_MODELS', this.stateOf(card), weights)}` +
        (served.length > 0 ? ` Loaded for: ${served.join(', ')}.` : ''),
      { field: 'actions', attribute, available: served },
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

  private cardOf(part: Part, name: string): string {
    const { task, known, variable } = PARTS[part];
    const target = Object.hasOwn(this.aliases, name) ? this.aliases[name] : name;
    const model = Object.hasOwn(known, target) ? known[target] : null;
    const cards = model?.cards ?? [target];
    const ofTask = this.model.models().filter((status) => status.task === task);
    const loaded = ofTask.filter(({ state }) => state === 'loaded').map((status) => status.name);
    const serving = cards.find((card) => loaded.includes(card));
    if (serving != null) return serving;
    const available = loaded.map((card) => nameOf(card, known) ?? card);
    const list = `Loaded: ${available.join(', ')}.`;
    const shown = JSON.stringify(name.slice(0, 64));
    if (model != null || ofTask.some((status) => status.name === target)) {
      const card = cards.find((one) => this.stateOf(one) === 'available') ?? cards[0];
      throw new FaceError(
        'MODEL_NOT_LOADED',
        `${part} ${shown} is not loaded. ${howToLoad(card, variable, this.stateOf(card), model?.weights)} ${list}`,
        { field: part, available },
      );
    }
    throw new FaceError(
      'MODEL_UNKNOWN',
      DEEPFACE_ONLY.includes(target)
        ? `${part} ${shown} of DeepFace is not available in this service. ${list} The operator can substitute a card ` +
            `for it: FACE_DEEPFACE_ALIASES=${target}=${loaded[0]}.`
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
