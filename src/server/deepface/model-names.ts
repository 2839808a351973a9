import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';
import { FaceModel, type ModelStatus } from '../../face/face-model';
import type { Attribute, PresentationAttackPolicy } from '../../pipeline/face.types';
import type { ModelTask } from '../../models/model-card';
import { commandToGet } from '../../models/model-store';
import { DEEPFACE_THRESHOLDS, type DeepfaceModelName } from './confidence';

/** What stands for a model of DeepFace here. */
interface KnownModel {
  /** The first of them that is loaded serves. */
  cards: readonly string[];
  /** File of DeepFace that `likeness models import` makes the first card of; absent where there is none to import. */
  weights?: string;
}

/** Embedders by the names of DeepFace. */
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

/** Detectors by the names of DeepFace. */
export const DEEPFACE_DETECTORS: Readonly<Record<string, KnownModel>> = {
  retinaface: {
    cards: ['retinaface', 'retinaface-resnet50', 'retinaface-mnet025'],
    weights: 'retinaface.h5',
  },
  yunet: { cards: ['yunet', 'yunet-dynamic'] },
};

/** Runs no detector: the whole image is the face. */
export const SKIP = 'skip';

/** Names of DeepFace for which nothing stands here. */
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

/** What `actions` of /analyze are called here, and the card of DeepFace's own model of each. */
export const ACTIONS = {
  age: { attribute: 'age', card: 'age', weights: 'age_model_weights.h5' },
  gender: { attribute: 'gender', card: 'gender', weights: 'gender_model_weights.h5' },
  emotion: { attribute: 'expression', card: 'emotion', weights: 'facial_expression_model_weights.h5' },
  race: { attribute: 'race', card: 'race', weights: 'race_model_single_batch.h5' },
} as const satisfies Record<string, { attribute: Attribute; card: string; weights: string }>;
export type Action = keyof typeof ACTIONS;

/** Cards of the networks that DeepFace judges spoofs with, and its files of their weights. */
const ANTI_SPOOFING = {
  'minifasnet-v2': '2.7_80x80_MiniFASNetV2.pth',
  'minifasnet-v1-se': '4_0_0_80x80_MiniFASNetV1SE.pth',
} as const;

/** An embedder that a request named, or the default. */
export interface NamedEmbedder {
  /** As the answer calls it: as the request did; else DeepFace's name, where it has one. */
  name: string;
  card: string;
  /** Whose thresholds hold: DeepFace's name of the card; `null` where it has none. */
  deepfaceName: DeepfaceModelName | null;
}

/** A detector that a request named, or the default. */
export interface NamedDetector {
  /** As in {@link NamedEmbedder}. */
  name: string;
  /** `null`: none is run. */
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
 * Ends the boot with FACE_OPTIONS_INVALID where an alias leads to no card.
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
        'Environment variable FACE_DEEPFACE_ALIASES names a card that is not there.',
        { variable: 'FACE_DEEPFACE_ALIASES' },
      );
    }
  }

  /**
   * The embedder of that name: of DeepFace, of an alias, or of a card.
   *
   * @throws {FaceError} MODEL_NOT_LOADED, with how to load it; MODEL_UNKNOWN.
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
   * The detector of that name, as {@link DeepfaceModels.embedder}.
   *
   * @throws {FaceError} MODEL_NOT_LOADED, MODEL_UNKNOWN.
   */
  detector(name?: string): NamedDetector {
    if (name === SKIP) return { name, card: null };
    const card = name == null ? this.model.defaultDetector : this.cardOf('detector_backend', name);
    return { name: name ?? nameOf(card, DEEPFACE_DETECTORS) ?? card, card };
  }

  /**
   * The actions that are to be answered: those asked for, or all that a loaded model serves.
   *
   * @throws {FaceError} MODEL_NOT_LOADED for one that no loaded model serves, with how to load one.
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
   * What `anti_spoofing` asks for; absent: what the service does by default.
   *
   * @throws {FaceError} MODEL_NOT_LOADED where it is asked for and no model is there, with how to load one.
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
        `Then name them in FACE_PRESENTATION_ATTACK_MODELS=${Object.keys(ANTI_SPOOFING).join(',')}.`,
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
        ? `${part} ${shown} is one of DeepFace that this service does not have. ${list} The operator may let a card stand in ` +
            `for it: FACE_DEEPFACE_ALIASES=${target}=${loaded[0]}.`
        : `${part} ${shown} is not known. ${list}`,
      { field: part, available },
    );
  }

  private stateOf(card: string): ModelStatus['state'] {
    return this.model.models().find((status) => status.name === card)?.state ?? 'absent';
  }
}

/** The command that gets the file of a card: from weights of DeepFace where there are some. */
export function howToGet(card: string, weights?: string): string {
  return weights == null
    ? commandToGet(card)
    : `likeness models import ${card} ~/.deepface/weights/${weights}`;
}

/** What an operator does to load a card, with or without its file at hand. */
function howToLoad(card: string, variable: string, state: ModelStatus['state'], weights?: string): string {
  const first = state === 'absent' ? `Get its file first: ${howToGet(card, weights)}. Then name` : 'Name';
  return `${first} it in ${variable}=…,${card}, or load it now: POST /admin/models/${card}/load.`;
}

/** The name that DeepFace has for a card. */
function nameOf(card: string, known: Readonly<Record<string, KnownModel>>): string | undefined {
  return Object.keys(known).find((name) => known[name].cards.includes(card));
}

function hasThreshold(name: string): name is DeepfaceModelName {
  return Object.hasOwn(DEEPFACE_THRESHOLDS, name);
}
