import { join } from 'node:path';
import { FaceError } from '../errors';
import { ProcessWorker } from '../inference/inference-worker';
import { WorkerPool } from '../inference/worker-pool';
import { ensureCompiled } from '../model-store/compile/compile-models';
import { embeddingContract } from '../model-store/embedding-contract';
import type { CardThresholds, ModelCard, ModelTask } from '../model-store/model-card';
import { readModelStore, requireFile, type StoredModel } from '../model-store/model-store';
import { thresholdsFromCosine } from '../pipeline/compare-embeddings';
import type { FaceJob } from '../pipeline/face-job';
import type {
  AnalyzedFace,
  FaceDetection,
  ImageFaces,
  Metric,
  RepresentedFace,
} from '../pipeline/face.types';
import {
  type EmbedderInfo,
  type FaceCallOptions,
  FaceModel,
  type ModelStatus,
  type RepresentCallOptions,
} from './face-model';
import { PACKAGE_MODELS_DIR, type ResolvedFaceOptions } from './face.options';

/** The real model: cards and files checked, workers started, every model loaded and warmed. */
export class WorkerFaceModel extends FaceModel {
  readonly defaultDetector: string;
  readonly defaultEmbedder: string;

  private constructor(
    private readonly options: ResolvedFaceOptions,
    private readonly store: ReadonlyMap<string, StoredModel>,
    private readonly loaded: ReadonlyMap<string, ModelCard>,
    private readonly pool: WorkerPool,
  ) {
    super();
    this.defaultDetector = options.detectors[0];
    this.defaultEmbedder = options.embedders[0];
  }

  /**
   * Compiles what is missing of the default models, then starts the workers and waits until all are ready.
   *
   * @throws {FaceError} MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH, MODEL_SHAPE_MISMATCH, MODEL_INVALID with the name of
   * the model and what is wrong with it.
   */
  static async load(options: ResolvedFaceOptions): Promise<WorkerFaceModel> {
    const { store, names } = await prepareModels(options);
    const models = names.map((name) => requireFile(store, name));
    let done = 0;
    const total = models.length * options.workerCount;
    const pool = await WorkerPool.start({
      ...options,
      createWorker: () =>
        new ProcessWorker(
          options.workerFile,
          { models, intraOpThreads: options.intraOpThreads, maxImagePixels: options.maxImagePixels },
          options.bootTimeoutMs,
          (model) => options.onProgress?.({ stage: 'load', model, done: ++done, total }),
        ),
    });
    const loaded = new Map(models.map(({ card }) => [card.name, card]));
    return new WorkerFaceModel(options, store, loaded, pool);
  }

  detect(image: Uint8Array, options: FaceCallOptions = {}): Promise<ImageFaces<FaceDetection>> {
    return this.run<FaceDetection>('detect', image, options);
  }

  represent(image: Uint8Array, options: RepresentCallOptions = {}): Promise<ImageFaces<RepresentedFace>> {
    return this.run<RepresentedFace>('represent', image, options);
  }

  async analyze(image: Uint8Array, options: FaceCallOptions = {}): Promise<ImageFaces<AnalyzedFace>> {
    for (const task of ['age-gender', 'expression'] as const) {
      if (![...this.loaded.values()].some((card) => card.task === task)) {
        throw new FaceError('MODEL_NOT_LOADED', `No model for ${task} is loaded.`, { task });
      }
    }
    return this.run<AnalyzedFace>('analyze', image, options);
  }

  embedder(name: string = this.defaultEmbedder): EmbedderInfo {
    return embedderInfo(this.requireLoaded(name, 'embed', 'embedder'));
  }

  models(): ModelStatus[] {
    const order = { loaded: 0, available: 1, absent: 2 };
    return [...this.store.values()]
      .map((model) => this.status(model))
      .sort((a, b) => order[a.state] - order[b.state] || a.name.localeCompare(b.name));
  }

  readiness(): { ready: boolean; reason?: string } {
    return this.pool.readiness();
  }

  close(): Promise<void> {
    return this.pool.close();
  }

  private async run<F extends FaceDetection>(
    task: FaceJob['task'],
    image: Uint8Array,
    options: RepresentCallOptions,
  ): Promise<ImageFaces<F>> {
    const detector = this.requireLoaded(options.detector ?? this.defaultDetector, 'detect', 'detector');
    const embedder = this.requireLoaded(options.embedder ?? this.defaultEmbedder, 'embed', 'embedder');
    if (image.byteLength === 0)
      throw new FaceError('IMAGE_EMPTY', 'Expected an image but received zero bytes.');
    if (image.byteLength > this.options.maxImageBytes) {
      throw new FaceError(
        'IMAGE_TOO_LARGE',
        `Expected at most ${this.options.maxImageBytes} bytes for the image but received ${image.byteLength}.`,
        { maxImageBytes: this.options.maxImageBytes },
      );
    }
    const job: FaceJob = {
      task,
      image,
      detector: detector.name,
      embedder: embedder.name,
      selection: options.faceSelection ?? 'all',
      maxFaces: Math.min(options.maxFaces ?? this.options.maxFaces, this.options.maxFaces),
      minFaceSize: options.minFaceSize ?? 0,
      minDetectionScore: options.minDetectionScore,
    };
    return (await this.pool.run(job, options)) as ImageFaces<F>;
  }

  private requireLoaded(name: string, task: ModelTask, field: string): ModelCard {
    const card = this.loaded.get(name);
    if (card?.task === task) return card;
    const available = [...this.loaded.values()]
      .filter((other) => other.task === task)
      .map((other) => other.name);
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

  private status({ card, path }: StoredModel): ModelStatus {
    const loads = this.loaded.has(card.name) ? this.pool.loadsOf(card.name) : [];
    const isLoaded = loads.length > 0;
    return {
      name: card.name,
      title: card.title,
      task: card.task,
      family: card.family,
      state: isLoaded ? 'loaded' : path == null ? 'absent' : 'available',
      loads: loads.length,
      loadMs: isLoaded ? Math.max(...loads.map(({ loadMs }) => loadMs)) : null,
      // Of the workers that are there: what ended gave its memory back.
      memoryBytes: isLoaded
        ? loads.slice(-this.options.workerCount).reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)
        : null,
      sha256: card.sha256 ?? null,
      license: card.license,
      source: card.source,
      ...(card.task === 'embed' && card.sha256 != null ? { embedder: embedderInfo(card) } : {}),
    };
  }
}

/** Every model with a card: those of the package, then those of the models folders. */
export function readStore(modelDirs: readonly string[]): Promise<Map<string, StoredModel>> {
  return readModelStore(
    [PACKAGE_MODELS_DIR, ...modelDirs].map((dir) => join(dir, 'cards')),
    modelDirs,
  );
}

/**
 * Names of what these options load, landmark models of the detectors included.
 *
 * @throws {FaceError} MODEL_INVALID for a model in the place of one of another task.
 */
export function modelsToLoad(
  {
    detectors,
    embedders,
    attributeModels,
  }: Pick<ResolvedFaceOptions, 'detectors' | 'embedders' | 'attributeModels'>,
  store: ReadonlyMap<string, StoredModel>,
): string[] {
  const check = (names: string[], what: string, ...tasks: ModelTask[]) => {
    const wrong = names
      .map((name) => store.get(name)?.card)
      .find((card) => card && !tasks.includes(card.task));
    if (wrong == null) return;
    throw new FaceError('MODEL_INVALID', `Model ${wrong.name} is no ${what}: its task is ${wrong.task}.`, {
      model: wrong.name,
    });
  };
  check(detectors, 'detector', 'detect');
  check(embedders, 'embedder', 'embed');
  check(attributeModels, 'attribute model', 'age-gender', 'expression');
  const landmarkModels = detectors.flatMap((name) => store.get(name)?.card.detection?.landmarkModel ?? []);
  check(landmarkModels, 'landmark model', 'landmarks');
  return [...new Set([...detectors, ...landmarkModels, ...embedders, ...attributeModels])];
}

/** Reads the cards and compiles what is missing of the models to be loaded. */
export async function prepareModels(
  options: Pick<
    ResolvedFaceOptions,
    'detectors' | 'embedders' | 'attributeModels' | 'modelDirs' | 'onProgress'
  >,
): Promise<{ store: Map<string, StoredModel>; names: string[] }> {
  const store = await readStore(options.modelDirs);
  const names = modelsToLoad(options, store);
  const missing = names.filter((name) => store.get(name)?.card.compiled && store.get(name)?.path == null);
  if (missing.length === 0) return { store, names };
  await ensureCompiled(missing, options.modelDirs[0], ({ model, done, total }) =>
    options.onProgress?.({ stage: 'compile', model, done, total }),
  );
  return { store: await readStore(options.modelDirs), names };
}

/** Facts of an embedder that callers compare by; distances that follow from cosine are filled in. */
function embedderInfo(card: ModelCard): EmbedderInfo {
  const { dimensions, thresholds } = card.embedding as { dimensions: number; thresholds: CardThresholds };
  const fromCard = Object.fromEntries(
    Object.entries(thresholds).flatMap(([metric, threshold]) =>
      threshold == null ? [] : [[metric, threshold.maxDistance]],
    ),
  ) as Partial<Record<Metric, number>>;
  return {
    name: card.name,
    dimensions,
    contract: embeddingContract(card),
    maxDistances: { ...thresholdsFromCosine(thresholds.cosine.maxDistance), ...fromCard },
  };
}
