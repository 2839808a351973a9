import { FaceError } from '../errors';
import type { ModelTask } from '../models/model-card';
import type { StoredModel } from '../models/model-store';
import type { FaceJob } from '../pipeline/face-job';
import { type Attribute, ATTRIBUTES } from '../pipeline/face.types';
import type { LoadableModel } from './model-files';
import { attributeServers, type ModelSelection } from './model-selection';

/**
 * Catalog of the loaded models, beside all that have a card. Immutable: a change of models replaces it as a whole, so that a
 * call sees one state or the other.
 */
export class LoadedModels {
  constructor(
    /** Every model with a card, by name. */
    readonly store: ReadonlyMap<string, StoredModel>,
    readonly selection: ModelSelection,
    /** The loaded models, by name. */
    readonly models: ReadonlyMap<string, LoadableModel>,
  ) {}

  get defaultDetector(): string {
    return this.selection.detectors[0];
  }

  get defaultEmbedder(): string {
    return this.selection.embedders[0];
  }

  /**
   * A loaded model of a task.
   *
   * @param field - field of the request that names the model.
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   */
  require(name: string, task: ModelTask, field: string): LoadableModel {
    const model = this.models.get(name);
    if (model?.card.task === task) return model;
    const available = [...this.models.values()]
      .filter(({ card }) => card.task === task)
      .map(({ card }) => card.name);
    if (this.store.get(name)?.card.task === task) {
      throw new FaceError(
        'MODEL_NOT_LOADED',
        `Model ${name} is not loaded. Loaded for ${field}: ${available.join(', ')}.`,
        { field, available },
      );
    }
    throw new FaceError(
      'MODEL_UNKNOWN',
      `Expected a known ${field} but received ${JSON.stringify(name.slice(0, 64))}. Loaded: ${available.join(', ')}.`,
      { field, available },
    );
  }

  /**
   * The models that a job runs.
   *
   * @param detectorName - `null` where no detector runs.
   * @param others - names of loaded attribute models and presentation attack models.
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   */
  forJob(
    task: FaceJob['task'],
    detectorName: string | null,
    embedderName: string,
    others: readonly string[],
  ): LoadableModel[] {
    const models: LoadableModel[] = [];
    if (detectorName != null) {
      const detector = this.require(detectorName, 'detect', 'detector');
      const { landmarkModel } = detector.card.detection ?? {};
      models.push(detector);
      if (landmarkModel != null) models.push(this.require(landmarkModel, 'landmarks', 'landmarks'));
    }
    if (task === 'represent') models.push(this.require(embedderName, 'embed', 'embedder'));
    for (const name of new Set(others)) models.push(this.models.get(name) as LoadableModel);
    return models;
  }

  /**
   * Names of the models that estimate the requested attributes.
   *
   * @param requested - absent: all attributes that a loaded model estimates.
   * @throws {FaceError} MODEL_NOT_LOADED
   */
  attributeModels(requested?: readonly Attribute[]): FaceJob['attributes'] {
    const servers = attributeServers(this.selection, this.models);
    const available = ATTRIBUTES.filter((attribute) => servers[attribute] != null);
    if (requested == null && available.length === 0) {
      throw new FaceError('MODEL_NOT_LOADED', 'No model of any attribute is loaded.', { available });
    }
    const missing = requested?.find((attribute) => servers[attribute] == null);
    if (missing != null) {
      throw new FaceError('MODEL_NOT_LOADED', `No model for ${missing} is loaded.`, {
        field: 'attributes',
        attribute: missing,
        available,
      });
    }
    // Always in the same order: the whole job is the key of a cached answer.
    const wanted = available.filter((attribute) => requested?.includes(attribute) ?? true);
    return Object.fromEntries(wanted.map((attribute) => [attribute, servers[attribute]]));
  }

  /** The attributes that `analyze` takes from a model. */
  attributesOf(name: string): Attribute[] {
    const servers = attributeServers(this.selection, this.models);
    return ATTRIBUTES.filter((attribute) => servers[attribute] === name);
  }

  /**
   * Names of the loaded presentation attack models. All of them score a face.
   *
   * @throws {FaceError} MODEL_NOT_LOADED where none is loaded.
   */
  attackModels(): readonly string[] {
    const { attackModels } = this.selection;
    if (attackModels.length > 0) return attackModels;
    throw new FaceError('MODEL_NOT_LOADED', 'No presentation attack model is loaded.', {
      field: 'presentationAttack',
      available: [],
    });
  }
}
