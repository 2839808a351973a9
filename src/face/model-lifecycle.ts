import { FACE_ERRORS, FaceError } from '../errors';
import type { WorkerPool } from '../inference/worker-pool';
import type { StoredModel } from '../models/model-store';
import type { ResolvedFaceOptions } from './face.options';
import { LoadedModels } from './loaded-models';
import { assertFits, cacheBytesOf, type ResourcePlan } from './memory-plan';
import { type LoadableModel, loadableModels, readSelection, workersToEstimate } from './model-files';
import { isDefault, type ModelSelection, withModel, withoutModel, withSwapped } from './model-selection';
import { workerPlan } from './worker-plan';

/** How often idle models are looked for. */
const IDLE_CHECK_MS = 1000;

/** Loads, unloads and swaps models at run time, one change after the other, and unloads idle models. */
export class ModelLifecycle {
  /** Settles when the last requested change is done. */
  private changes: Promise<unknown> = Promise.resolve();
  private readonly idleTtls: Map<string, number>;
  private readonly lastUsedAt = new Map<string, number>();
  private readonly idleTimer: NodeJS.Timeout;

  constructor(
    private current: LoadedModels,
    private readonly pool: WorkerPool,
    private readonly options: ResolvedFaceOptions,
    private readonly plan: ResourcePlan,
  ) {
    this.idleTtls = new Map(Object.entries(options.idleTtlsMs));
    this.idleTimer = setInterval(() => this.unloadIdle(), IDLE_CHECK_MS).unref();
  }

  get loaded(): LoadedModels {
    return this.current;
  }

  /** See `FaceModel.loadModel`. */
  async load(name: string, idleTtlMs?: number): Promise<void> {
    await this.change(name, [], (selection, store) => withModel(selection, name, store));
    if (idleTtlMs != null) this.idleTtls.set(name, idleTtlMs);
  }

  /** See `FaceModel.unloadModel`. */
  unload(name: string): Promise<void> {
    return this.change(name, [], (selection, store) => withoutModel(selection, name, store));
  }

  /** See `FaceModel.swapModel`. */
  swap(name: string, replacement: string): Promise<void> {
    return this.change(replacement, [name, replacement], (selection, store) =>
      withSwapped(selection, name, replacement, store),
    );
  }

  /** The models are in use now: their idle times begin again. */
  markUsed(models: readonly LoadableModel[]): void {
    const now = performance.now();
    for (const { card } of models) this.lastUsedAt.set(card.name, now);
  }

  /** Milliseconds without a call after which a model is unloaded; `null`: never. */
  idleTtlOf(name: string): number | null {
    return this.idleTtls.get(name) ?? null;
  }

  /** Ends the search for idle models. */
  close(): void {
    clearInterval(this.idleTimer);
  }

  /**
   * Makes a change after all changes that were requested before it.
   *
   * @param name - the model that the operator named.
   * @param renewed - models whose card and file are read again; all other loaded models stay as they are.
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
    const before = this.current;
    const { store, selection, names } = await readSelection(this.options, (cards) =>
      select(before.selection, cards),
    );
    const kept = new Map([...before.models].filter(([name]) => !renewed.includes(name)));
    const models = await loadableModels(names, store, this.options, kept);
    const after = new LoadedModels(store, selection, models);
    const isSame =
      models.size === before.models.size &&
      [...models].every(([name, { id }]) => before.models.get(name)?.id === id);
    if (isSame) {
      this.current = after;
      return;
    }
    // The old and the new workers run side by side until the new ones take over.
    assertFits(
      [workersToEstimate(this.plan, before.models), workersToEstimate(this.plan, models)],
      cacheBytesOf(this.options),
      this.plan.budgetBytes,
    );
    const workers = workerPlan(models, this.options, this.plan);
    await this.pool.switchTo(workers, () => (this.current = after));
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

  private unloadIdle(): void {
    const now = performance.now();
    for (const [name, ttlMs] of this.idleTtls) {
      const isCandidate = this.current.models.has(name) && !isDefault(this.current.selection, name);
      if (!isCandidate) continue;
      const lastUsedAt = this.lastUsedAt.get(name);
      // The idle time of a model without a call begins at the first check.
      if (lastUsedAt == null) this.lastUsedAt.set(name, now);
      else if (now - lastUsedAt >= ttlMs) {
        this.lastUsedAt.set(name, now);
        this.unload(name).catch((error: unknown) =>
          this.options.onNotice?.({ level: 'warn', message: `idle model ${name} stays: ${String(error)}` }),
        );
      }
    }
  }
}

/** The error of a failed change for the operator: codes that end a boot have no status, and end nothing here. */
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
