import { FaceError } from '../errors';
import { machineLimits } from '../inference/machine-limits';
import { processMemory } from '../inference/process-memory';
import { type RunOptions, WorkerPool } from '../inference/worker-pool';
import type { StoredModel } from '../models/model-store';
import type { FaceJob } from '../pipeline/face-job';
import type {
  AnalyzedFace,
  FaceDetection,
  ImageFaces,
  PresentationAttackPolicy,
  RepresentedFace,
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
import type { ImageEvent, ResolvedFaceOptions } from './face.options';
import { LoadedModels } from './loaded-models';
import { assertFits, cacheBytesOf, estimateMemory, planResources, type ResourcePlan } from './memory-plan';
import { loadableModels, readSelection, weightsOf, workersToEstimate } from './model-files';
import { ModelLifecycle } from './model-lifecycle';
import { requireCard, withAllowedModels } from './model-selection';
import { embedderInfo, modelStatus } from './model-status';
import { ResultCache } from './result-cache';
import type { DecisionDefaults } from './thresholds';
import { traceImage } from './trace-image';
import { workerPlan } from './worker-plan';

/**
 * Lowest detection score that a call can ask for. The default detector finds 9 faces in a photo of three at 0.1, and 2,346 at
 * 0.05: a hundred of them, each tried in four orientations, take a worker 7 s and longer.
 */
const MIN_DETECTION_SCORE = 0.1;

/** The real model: cards and files checked, workers started, every model loaded and warmed. */
export class WorkerFaceModel extends FaceModel {
  /** `null` where answers are not cached. */
  private readonly cache: ResultCache | null;

  private constructor(
    private readonly options: ResolvedFaceOptions,
    private readonly plan: ResourcePlan,
    private readonly pool: WorkerPool,
    private readonly lifecycle: ModelLifecycle,
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
  }

  /**
   * Checks the files of the models, prepares missing ones, then starts the workers and waits until all are ready.
   *
   * @throws {FaceError} MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH, MODEL_SHAPE_MISMATCH, MODEL_INVALID with the name of
   * the model and the reason; MEMORY_BUDGET_EXCEEDED where the models would not fit.
   */
  static async load(options: ResolvedFaceOptions): Promise<WorkerFaceModel> {
    const { store, selection, names } = await readSelection(options, (cards) =>
      withAllowedModels(options, cards),
    );
    const models = await loadableModels(names, store, options);
    const plan = planResources(options, weightsOf(models), machineLimits());
    options.onNotice?.({ level: 'log', message: plan.text });
    assertFits([workersToEstimate(plan, models)], cacheBytesOf(options), plan.budgetBytes);
    const pool = await WorkerPool.start(
      {
        ...options,
        workerCount: plan.workerCount,
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
      workerPlan(models, options, plan),
    );
    const loaded = new LoadedModels(store, selection, models);
    const lifecycle = new ModelLifecycle(loaded, pool, options, plan);
    return new WorkerFaceModel(options, plan, pool, lifecycle);
  }

  get defaultDetector(): string {
    return this.loaded.defaultDetector;
  }

  get defaultEmbedder(): string {
    return this.loaded.defaultEmbedder;
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
    return embedderInfo(this.loaded.require(name, 'embed', 'embedder').card, this.options.targetFmr, align);
  }

  models(): ModelStatus[] {
    const order = { loaded: 0, available: 1, absent: 2 };
    return [...this.loaded.store.values()]
      .map(({ card }) => this.statusOf(card.name))
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
        reckonedBytes: estimateMemory(
          [workersToEstimate(this.plan, this.loaded.models)],
          cacheBytesOf(this.options),
        ),
        budgetBytes: this.plan.budgetBytes,
      },
    };
  }

  async loadModel(name: string, { idleTtlMs }: { idleTtlMs?: number } = {}): Promise<ModelStatus> {
    await this.lifecycle.load(name, idleTtlMs);
    return this.statusOf(name);
  }

  async warmModel(name: string): Promise<ModelStatus> {
    requireCard(name, this.loaded.store);
    if (!this.loaded.models.has(name)) {
      throw new FaceError('MODEL_NOT_LOADED', `Model ${name} is not loaded.`, { model: name });
    }
    await this.pool.warm(name);
    return this.statusOf(name);
  }

  async unloadModel(name: string): Promise<ModelStatus> {
    await this.lifecycle.unload(name);
    return this.statusOf(name);
  }

  async swapModel(name: string, replacement: string): Promise<ModelStatus> {
    await this.lifecycle.swap(name, replacement);
    return this.statusOf(replacement);
  }

  purgeCache(imageSha256?: string): number {
    return this.cache?.purge(imageSha256) ?? 0;
  }

  readiness(): { ready: boolean; reason?: string } {
    return this.pool.readiness();
  }

  override refusal(caller: string): FaceError | null {
    // With a cache the answer may be in it even while the queue is full.
    return this.cache == null ? this.pool.refusal(caller) : null;
  }

  close(): Promise<void> {
    this.lifecycle.close();
    this.cache?.purge();
    return this.pool.close();
  }

  private get loaded(): LoadedModels {
    return this.lifecycle.loaded;
  }

  private statusOf(name: string): ModelStatus {
    return modelStatus(this.loaded.store.get(name) as StoredModel, this.loaded, this.pool, {
      targetFmr: this.options.targetFmr,
      idleTtlMs: this.lifecycle.idleTtlOf(name),
    });
  }

  /** Answers a call, and reports its outcome to metrics and traces. */
  private async run<F extends FaceDetection>(
    task: FaceJob['task'],
    image: Uint8Array,
    options: RepresentCallOptions & AnalyzeCallOptions,
  ): Promise<ImageFaces<F>> {
    const startedAt = performance.now();
    const detector = detectorOf(this, options);
    const embedder = options.embedder ?? this.defaultEmbedder;
    const report = (outcome: ImageEvent['outcome'], answer?: ImageFaces<FaceDetection>) => {
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
        // Observers must not fail the call.
        this.options.onNotice?.({ level: 'warn', message: `onImage or a trace failed: ${String(error)}` });
      }
    };
    try {
      const answer = await this.answer(task, image, { ...options, embedder });
      report('ok', answer);
      return answer as ImageFaces<F>;
    } catch (error) {
      report(error instanceof FaceError ? error.code : 'INTERNAL_ERROR');
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
    const job = this.jobOf(task, image, options);
    const work = async (limits: RunOptions) => {
      const { runs: _runs, ...answer } = await this.pool.run(job, limits);
      return answer;
    };
    // Crops are pictures of people: only galleries that are set to keep them may store them.
    const isCached = options.cache !== false && !job.crop;
    return this.cache == null || !isCached ? work(options) : this.cache.run(job, options, work);
  }

  /**
   * The job of a call. Marks its models as used.
   *
   * @throws {FaceError} MODEL_UNKNOWN, MODEL_NOT_LOADED.
   */
  private jobOf(
    task: FaceJob['task'],
    image: Uint8Array,
    options: RepresentCallOptions & AnalyzeCallOptions & { embedder: string },
  ): FaceJob {
    const { loaded } = this;
    const { embedder, wholeImage, detector = loaded.defaultDetector } = options;
    const attributes = task === 'analyze' ? loaded.attributeModels(options.attributes) : undefined;
    const attackModels = (options.presentationAttack ?? 'off') === 'off' ? undefined : loaded.attackModels();
    const models = loaded.forJob(task, detectorOf(this, options), embedder, [
      ...Object.values(attributes ?? {}),
      ...(attackModels ?? []),
    ]);
    this.lifecycle.markUsed(models);
    return {
      task,
      image,
      models: models.map(({ id }) => id),
      detector,
      embedder,
      selection: options.faceSelection ?? 'all',
      maxFaces: Math.min(options.maxFaces ?? this.options.maxFaces, this.options.maxFaces),
      minFaceSize: options.minFaceSize ?? 0,
      minDetectionScore:
        options.minDetectionScore == null
          ? undefined
          : Math.max(options.minDetectionScore, MIN_DETECTION_SCORE),
      // Absent instead of false: the whole job is the key of a cached answer.
      quality: options.quality ? true : undefined,
      crop: task === 'represent' && options.crop ? true : undefined,
      hash: task === 'represent' && options.hash ? true : undefined,
      wholeImage: wholeImage === 'never' ? undefined : wholeImage,
      autoRotate: options.autoRotate === false ? false : undefined,
      align: task === 'represent' && options.align === false ? false : undefined,
      attributes,
      attackModels,
    };
  }
}
