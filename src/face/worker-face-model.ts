import { FACE_ERRORS, FaceError } from '../errors';
import { ProcessWorker } from '../inference/inference-worker';
import { machineLimits } from '../inference/machine-limits';
import { processMemory } from '../inference/process-memory';
import { type RunOptions, WorkerPool } from '../inference/worker-pool';
import type { WorkerPlan } from '../inference/worker-set';
import { embeddingContract } from '../models/embedding-contract';
import { ATTRIBUTES_OF_TASK, type CardEmbedding, type ModelCard, type ModelTask } from '../models/model-card';
import type { StoredModel } from '../models/model-store';
import type { FaceJob } from '../pipeline/face-job';
import {
  type AnalyzedFace,
  type Attribute,
  ATTRIBUTES,
  type FaceDetection,
  type ImageFaces,
  type PresentationAttackPolicy,
  type RepresentedFace,
} from '../pipeline/face.types';
import {
  type AnalyzeCallOptions,
  detectorOf,
  type EmbedderInfo,
  type EngineStatus,
  type FaceCallOptions,
  FaceModel,
  type ModelStatus,
  type RepresentCallOptions,
} from './face-model';
import { type ImageEvent, imageLimitsOf, type ResolvedFaceOptions } from './face.options';
import { assertFits, cacheBytesOf, planResources, type ResourcePlan, estimateMemory } from './memory-plan';
import { type LoadableModel, loadableModels, readSelection, weightsOf } from './model-files';
import {
  attributeServers,
  isDefault,
  type ModelSelection,
  requireCard,
  withAllowedModels,
  withModel,
  withoutModel,
  withSwapped,
} from './model-selection';
import { ResultCache } from './result-cache';
import { type DecisionDefaults, defaultDistances } from './thresholds';
import { traceImage } from './trace-image';

/** How often models are looked at that may have been idle for too long. */
const IDLE_CHECK_MS = 1000;
/**
 * Least detection score that a call can ask for. The default detector finds 9 faces in a photo of three at 0.1, and 2,346 at
 * 0.05: a hundred of them, each looked at again in four turns, take a worker 7 s and longer.
 */
const LEAST_SCORE = 0.1;

/** What is loaded now. Replaced as a whole when models change, so that a call sees one state or the other. */
interface Loaded {
  store: ReadonlyMap<string, StoredModel>;
  selection: ModelSelection;
  models: ReadonlyMap<string, LoadableModel>;
}

/** The real model: cards and files checked, workers started, every model loaded and warmed. */
export class WorkerFaceModel extends FaceModel {
  private loaded!: Loaded;
  private pool!: WorkerPool;
  /** Settles when the last change of models that was asked for is done: they are made one after the other. */
  private changes: Promise<unknown> = Promise.resolve();
  /** `null` where answers are not kept. */
  private readonly cache: ResultCache | null;
  private readonly idleTtls: Map<string, number>;
  private readonly lastUsedAt = new Map<string, number>();
  private readonly idleTimer: NodeJS.Timeout;

  private constructor(
    private readonly options: ResolvedFaceOptions,
    private readonly plan: ResourcePlan,
  ) {
    super();
    const {
      cacheBytes: maxBytes,
      cacheTtlMs: ttlMs,
      requestTimeoutMs,
      queueBytes: maxWaitingBytes,
    } = options;
    this.cache =
      options.cache === 'off'
        ? null
        : new ResultCache({ maxBytes, ttlMs, requestTimeoutMs, maxWaitingBytes });
    this.idleTtls = new Map(Object.entries(options.idleTtlsMs));
    this.idleTimer = setInterval(() => this.unloadIdle(), IDLE_CHECK_MS).unref();
  }

  /**
   * Checks the files of the models, prepares what is missing, then starts the workers and waits until all are ready.
   *
   * @throws {FaceError} MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH, MODEL_SHAPE_MISMATCH, MODEL_INVALID with the name of
   * the model and what is wrong with it; MEMORY_BUDGET_EXCEEDED where all of it would not fit.
   */
  static async load(options: ResolvedFaceOptions): Promise<WorkerFaceModel> {
    const { store, selection, names } = await readSelection(options, (cards) =>
      withAllowedModels(options, cards),
    );
    const models = await loadableModels(names, store, options);
    const plan = planResources(options, weightsOf(models), machineLimits());
    options.onNotice?.({ level: 'log', message: plan.text });
    const { workerCount, maxDecodeBytes } = plan;
    const set = { workerCount, maxDecodeBytes, models: weightsOf(models) };
    assertFits([set], cacheBytesOf(options), plan.budgetBytes);
    const model = new WorkerFaceModel(options, plan);
    model.loaded = { store, selection, models };
    try {
      model.pool = await WorkerPool.start(
        {
          ...options,
          workerCount,
          onWorkerReady: (loaded) => {
            for (const { name, fallbackReason } of loaded) {
              if (fallbackReason == null) continue;
              const message = `a worker loaded a copy of ${name}, the prepared model failed: ${fallbackReason}`;
              options.onNotice?.({ level: 'warn', message });
            }
          },
          onWorkerEnded: (delayMs) =>
            options.onNotice?.({
              level: 'warn',
              message: `an inference worker ended; the next one starts in ${delayMs} ms`,
            }),
        },
        model.workerPlan(models),
      );
    } catch (error) {
      clearInterval(model.idleTimer);
      throw error;
    }
    return model;
  }

  get defaultDetector(): string {
    return this.loaded.selection.detectors[0];
  }

  get defaultEmbedder(): string {
    return this.loaded.selection.embedders[0];
  }

  get decisionDefaults(): DecisionDefaults {
    const { targetFmr, targetFpir, reviewMargin } = this.options;
    return { targetFmr, targetFpir, reviewMargin };
  }

  get presentationAttack(): PresentationAttackPolicy {
    return this.options.presentationAttack;
  }

  detect(image: Uint8Array, options: FaceCallOptions = {}): Promise<ImageFaces<FaceDetection>> {
    return this.run<FaceDetection>('detect', image, options);
  }

  represent(image: Uint8Array, options: RepresentCallOptions = {}): Promise<ImageFaces<RepresentedFace>> {
    return this.run<RepresentedFace>('represent', image, options);
  }

  analyze(image: Uint8Array, options: AnalyzeCallOptions = {}): Promise<ImageFaces<AnalyzedFace>> {
    return this.run<AnalyzedFace>('analyze', image, options);
  }

  embedder(name: string = this.defaultEmbedder, align = true): EmbedderInfo {
    return embedderInfo(this.requireLoaded(name, 'embed', 'embedder').card, this.options.targetFmr, align);
  }

  models(): ModelStatus[] {
    const order = { loaded: 0, available: 1, absent: 2 };
    return [...this.loaded.store.values()]
      .map((model) => this.modelStatus(model))
      .sort((a, b) => order[a.state] - order[b.state] || a.name.localeCompare(b.name));
  }

  async status(): Promise<EngineStatus> {
    const { workers, restarts, queue } = this.pool.status();
    return {
      workers: await Promise.all(
        workers.map(async ({ worker: { pid }, state }) => ({
          pid,
          state,
          memory: pid == null ? null : await processMemory(pid),
        })),
      ),
      workerRestarts: restarts,
      queue,
      cache: this.cache?.stats() ?? null,
      memory: {
        reckonedBytes: estimateMemory([this.toEstimate(this.loaded.models)], cacheBytesOf(this.options)),
        budgetBytes: this.plan.budgetBytes,
      },
    };
  }

  async loadModel(name: string, { idleTtlMs }: { idleTtlMs?: number } = {}): Promise<ModelStatus> {
    await this.change(name, [], (selection, store) => withModel(selection, name, store));
    if (idleTtlMs != null) this.idleTtls.set(name, idleTtlMs);
    return this.statusOf(name);
  }

  async warmModel(name: string): Promise<ModelStatus> {
    requireCard(name, this.loaded.store);
    if (!this.loaded.models.has(name)) throw notLoaded(name);
    await this.pool.warm(name);
    return this.statusOf(name);
  }

  async unloadModel(name: string): Promise<ModelStatus> {
    await this.change(name, [], (selection, store) => withoutModel(selection, name, store));
    return this.statusOf(name);
  }

  async swapModel(name: string, replacement: string): Promise<ModelStatus> {
    await this.change(replacement, [name, replacement], (selection, store) =>
      withSwapped(selection, name, replacement, store),
    );
    return this.statusOf(replacement);
  }

  purgeCache(imageSha256?: string): number {
    return this.cache?.purge(imageSha256) ?? 0;
  }

  readiness(): { ready: boolean; reason?: string } {
    return this.pool.readiness();
  }

  override refusal(caller: string): FaceError | null {
    // The answer to an image may be in the cache, whatever waits for the workers.
    return this.cache == null ? this.pool.refusal(caller) : null;
  }

  close(): Promise<void> {
    clearInterval(this.idleTimer);
    this.cache?.purge();
    return this.pool.close();
  }

  /** Answers a call, and tells metrics and traces what became of it. */
  private async run<F extends FaceDetection>(
    task: FaceJob['task'],
    image: Uint8Array,
    options: RepresentCallOptions & AnalyzeCallOptions,
  ): Promise<ImageFaces<F>> {
    const startedAt = performance.now();
    const detector = detectorOf(this, options);
    const embedder = options.embedder ?? this.defaultEmbedder;
    const tell = (outcome: ImageEvent['outcome'], answer?: ImageFaces<FaceDetection>) => {
      const event: ImageEvent = {
        task,
        detector,
        embedder: task === 'represent' ? embedder : null,
        outcome,
        totalMs: performance.now() - startedAt,
        timings: answer?.timings ?? null,
        faceCount: answer?.faces.length ?? 0,
      };
      try {
        this.options.onImage?.(event);
        traceImage(event, performance.timeOrigin + startedAt);
      } catch (error) {
        // Who only looks on must not fail the call.
        this.options.onNotice?.({ level: 'warn', message: `onImage or a trace failed: ${String(error)}` });
      }
    };
    try {
      const answer = await this.answer(task, image, { ...options, embedder });
      tell('ok', answer);
      return answer as ImageFaces<F>;
    } catch (error) {
      tell(error instanceof FaceError ? error.code : 'INTERNAL_ERROR');
      throw error;
    }
  }

  private async answer(
    task: FaceJob['task'],
    image: Uint8Array,
    options: RepresentCallOptions & AnalyzeCallOptions & { embedder: string },
  ): Promise<ImageFaces<FaceDetection>> {
    if (image.byteLength === 0)
      throw new FaceError('IMAGE_EMPTY', 'Expected an image but received zero bytes.');
    if (image.byteLength > this.options.maxImageBytes) {
      throw new FaceError(
        'IMAGE_TOO_LARGE',
        `Expected at most ${this.options.maxImageBytes} bytes for the image but received ${image.byteLength}.`,
        { maxImageBytes: this.options.maxImageBytes },
      );
    }
    const { embedder, wholeImage } = options;
    const { detector = this.defaultDetector } = options;
    const attributes = task === 'analyze' ? this.attributesOf(options.attributes) : undefined;
    const attackModels = (options.presentationAttack ?? 'off') === 'off' ? undefined : this.attackModels();
    const job: FaceJob = {
      task,
      image,
      models: this.modelsOf(task, detectorOf(this, options), embedder, [
        ...Object.values(attributes ?? {}),
        ...(attackModels ?? []),
      ]).map(({ id }) => id),
      detector,
      embedder,
      selection: options.faceSelection ?? 'all',
      maxFaces: Math.min(options.maxFaces ?? this.options.maxFaces, this.options.maxFaces),
      minFaceSize: options.minFaceSize ?? 0,
      minDetectionScore:
        options.minDetectionScore == null ? undefined : Math.max(options.minDetectionScore, LEAST_SCORE),
      // Absent and not false: a cached answer is found by all of the job.
      quality: options.quality ? true : undefined,
      crop: task === 'represent' && options.crop ? true : undefined,
      hash: task === 'represent' && options.hash ? true : undefined,
      wholeImage: wholeImage === 'never' ? undefined : wholeImage,
      autoRotate: options.autoRotate === false ? false : undefined,
      align: task === 'represent' && options.align === false ? false : undefined,
      attributes,
      attackModels,
    };
    const work = async (limits: RunOptions) => {
      const { runs: _runs, ...answer } = await this.pool.run(job, limits);
      return answer;
    };
    // Pictures of people are held by galleries that are asked to, and nowhere else.
    const isCached = options.cache !== false && !job.crop;
    return this.cache == null || !isCached ? work(options) : this.cache.run(job, options, work);
  }

  /**
   * The models that a task runs, which are in use from now on.
   *
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   */
  private modelsOf(
    task: FaceJob['task'],
    detectorName: string | null,
    embedderName: string,
    others: readonly string[],
  ): LoadableModel[] {
    const models: LoadableModel[] = [];
    if (detectorName != null) {
      const detector = this.requireLoaded(detectorName, 'detect', 'detector');
      const { landmarkModel } = detector.card.detection ?? {};
      models.push(detector);
      if (landmarkModel != null) models.push(this.requireLoaded(landmarkModel, 'landmarks', 'landmarks'));
    }
    if (task === 'represent') models.push(this.requireLoaded(embedderName, 'embed', 'embedder'));
    for (const name of new Set(others)) {
      models.push(this.loaded.models.get(name) as LoadableModel);
    }
    const now = performance.now();
    for (const { card } of models) this.lastUsedAt.set(card.name, now);
    return models;
  }

  /**
   * Names of the models of the attributes that are asked for, or of all that there are.
   *
   * @throws {FaceError} MODEL_NOT_LOADED
   */
  private attributesOf(asked?: readonly Attribute[]): FaceJob['attributes'] {
    const servers = attributeServers(this.loaded.selection, this.loaded.models);
    const available = ATTRIBUTES.filter((attribute) => servers[attribute] != null);
    if (asked == null && available.length === 0) {
      throw new FaceError('MODEL_NOT_LOADED', 'No model of any attribute is loaded.', { available });
    }
    const missing = asked?.find((attribute) => servers[attribute] == null);
    if (missing != null) {
      throw new FaceError('MODEL_NOT_LOADED', `No model for ${missing} is loaded.`, {
        field: 'attributes',
        attribute: missing,
        available,
      });
    }
    // In one order, whatever that of the call: a cached answer is found by the whole job.
    const wanted = available.filter((attribute) => asked?.includes(attribute) ?? true);
    return Object.fromEntries(wanted.map((attribute) => [attribute, servers[attribute]]));
  }

  /**
   * Names of the loaded presentation attack models, all of which judge a face.
   *
   * @throws {FaceError} MODEL_NOT_LOADED where there is none.
   */
  private attackModels(): readonly string[] {
    const { attackModels } = this.loaded.selection;
    if (attackModels.length > 0) return attackModels;
    throw new FaceError('MODEL_NOT_LOADED', 'No presentation attack model is loaded.', {
      field: 'presentationAttack',
      available: [],
    });
  }

  private requireLoaded(name: string, task: ModelTask, field: string): LoadableModel {
    const { models, store } = this.loaded;
    const model = models.get(name);
    if (model?.card.task === task) return model;
    const available = [...models.values()]
      .filter(({ card }) => card.task === task)
      .map(({ card }) => card.name);
    if (store.get(name)?.card.task === task) {
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
   * Changes what is loaded, after all changes that were asked for before.
   *
   * @param name - the model that the operator asked for.
   * @param renewed - models whose card and file are taken up anew; all others that are loaded stay as they are.
   */
  private change(
    name: string,
    renewed: readonly string[],
    select: (selection: ModelSelection, store: ReadonlyMap<string, StoredModel>) => ModelSelection,
  ): Promise<void> {
    const change = this.changes
      .then(() => this.applyChange(renewed, select))
      .catch((error: unknown) => {
        throw operatorError(error, name);
      });
    this.changes = change.catch(() => undefined);
    return change;
  }

  private async applyChange(
    renewed: readonly string[],
    select: (selection: ModelSelection, store: ReadonlyMap<string, StoredModel>) => ModelSelection,
  ): Promise<void> {
    const before = this.loaded;
    const { store, selection, names } = await readSelection(this.options, (cards) =>
      select(before.selection, cards),
    );
    const kept = new Map([...before.models].filter(([name]) => !renewed.includes(name)));
    const models = await loadableModels(names, store, this.options, kept);
    const after: Loaded = { store, selection, models };
    const isSame =
      models.size === before.models.size &&
      [...models].every(([name, { id }]) => before.models.get(name)?.id === id);
    if (isSame) {
      this.loaded = after;
      return;
    }
    // Both are there until the new workers have taken over.
    assertFits(
      [this.toEstimate(before.models), this.toEstimate(models)],
      cacheBytesOf(this.options),
      this.plan.budgetBytes,
    );
    await this.pool.switchTo(this.workerPlan(models), () => (this.loaded = after));
    const added = names.filter((name) => before.models.get(name)?.id !== models.get(name)?.id);
    const removed = [...before.models.keys()].filter((name) => !models.has(name));
    for (const name of removed) this.lastUsedAt.delete(name);
    const list = (what: string, changed: string[]) =>
      changed.length > 0 ? [`${what} ${changed.join(', ')}`] : [];
    this.options.onNotice?.({
      level: 'log',
      message: [...list('loaded', added), ...list('unloaded', removed)].join('; '),
    });
  }

  private workerPlan(models: ReadonlyMap<string, LoadableModel>): WorkerPlan {
    const { workerFile, bootTimeoutMs, onProgress } = this.options;
    const { intraOpThreads, maxDecodeBytes } = this.plan;
    const imageLimits = imageLimitsOf({ ...this.options, maxDecodeBytes });
    const files = [...models.values()].map(({ card, path, preparedPath }) => ({ card, path, preparedPath }));
    const total = files.length * this.plan.workerCount;
    let done = 0;
    return {
      models: new Set([...models.values()].map(({ id }) => id)),
      createWorker: () =>
        new ProcessWorker(
          workerFile,
          { models: files, intraOpThreads, imageLimits },
          bootTimeoutMs,
          (model) => {
            // A worker that takes the place of another loads the same again: that is no progress.
            if (done < total) onProgress?.({ stage: 'load', model, done: ++done, total });
          },
        ),
    };
  }

  private toEstimate(models: ReadonlyMap<string, LoadableModel>) {
    const { workerCount, maxDecodeBytes } = this.plan;
    return { workerCount, maxDecodeBytes, models: weightsOf(models) };
  }

  private unloadIdle(): void {
    const now = performance.now();
    for (const [name, ttlMs] of this.idleTtls) {
      const isCandidate = this.loaded.models.has(name) && !isDefault(this.loaded.selection, name);
      if (!isCandidate) continue;
      const lastUsedAt = this.lastUsedAt.get(name);
      // What was never used is idle from now on.
      if (lastUsedAt == null) this.lastUsedAt.set(name, now);
      else if (now - lastUsedAt >= ttlMs) {
        this.lastUsedAt.set(name, now);
        this.unloadModel(name).catch((error: unknown) =>
          this.options.onNotice?.({ level: 'warn', message: `idle model ${name} stays: ${String(error)}` }),
        );
      }
    }
  }

  /** The attributes that `analyze` takes from a model. */
  private servedBy(name: string): Attribute[] {
    const servers = attributeServers(this.loaded.selection, this.loaded.models);
    return ATTRIBUTES.filter((attribute) => servers[attribute] === name);
  }

  private statusOf(name: string): ModelStatus {
    return this.modelStatus(this.loaded.store.get(name) as StoredModel);
  }

  private modelStatus({ card: storedCard, path }: StoredModel): ModelStatus {
    const { name } = storedCard;
    const isLoaded = this.loaded.models.has(name);
    const card = this.loaded.models.get(name)?.card ?? storedCard;
    const loads = isLoaded ? this.pool.loadedIn(name) : [];
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    return {
      name,
      title: card.title,
      task: card.task,
      family: card.family,
      state: isLoaded ? 'loaded' : path == null ? 'absent' : 'available',
      isDefault: isDefault(this.loaded.selection, name),
      loads: this.pool.loadCount(name),
      loadMs: isLoaded ? Math.max(0, ...loads.map(({ loadMs }) => loadMs)) : null,
      memoryBytes: isLoaded ? sum(loads.map(({ memoryBytes }) => memoryBytes)) : null,
      sharedBytes: isLoaded ? Math.max(0, ...loads.map(({ sharedBytes }) => sharedBytes)) : null,
      ...this.pool.runsOf(name),
      idleTtlMs: this.idleTtls.get(name) ?? null,
      sha256: card.sha256 ?? null,
      license: card.license,
      trainingData: card.trainingData ?? null,
      source: card.source,
      ...(card.task === 'embed' && card.sha256 != null
        ? { embedder: embedderInfo(card, this.options.targetFmr) }
        : {}),
      ...(isLoaded && ATTRIBUTES_OF_TASK[card.task] != null ? { attributes: this.servedBy(name) } : {}),
    };
  }
}

/** What an operator sees of a load that failed: codes that end a boot end nothing here. */
function operatorError(thrown: unknown, name: string): unknown {
  if (!(thrown instanceof FaceError) || FACE_ERRORS[thrown.code].status != null) return thrown;
  const { code, message, details } = thrown;
  return new FaceError(
    'MODEL_LOAD_FAILED',
    message,
    { ...details, model: name, reason: code },
    { cause: thrown.cause },
  );
}

function notLoaded(name: string): FaceError {
  return new FaceError('MODEL_NOT_LOADED', `Model ${name} is not loaded.`, { model: name });
}

/** Facts of an embedder that callers compare by. */
function embedderInfo(card: ModelCard, targetFmr: number, align = true): EmbedderInfo {
  const embedding = card.embedding as CardEmbedding;
  return {
    name: card.name,
    dimensions: embedding.dimensions,
    contract: embeddingContract(card, align),
    maxDistances: defaultDistances(embedding, targetFmr),
    calibration: embedding.calibration ?? null,
  };
}
