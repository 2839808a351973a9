import type { WorkerPool } from '../inference/worker-pool';
import { embeddingContract } from '../models/embedding-contract';
import { ATTRIBUTES_OF_TASK, type CardEmbedding, type ModelCard } from '../models/model-card';
import type { StoredModel } from '../models/model-store';
import type { EmbedderInfo, ModelStatus } from './face-model';
import type { LoadedModels } from './loaded-models';
import { isDefault } from './model-selection';
import { defaultDistances } from './thresholds';

/** State of one model of the catalog, loaded or not. */
export function modelStatus(
  { card: storedCard, path }: StoredModel,
  loaded: LoadedModels,
  pool: WorkerPool,
  { targetFmr, idleTtlMs }: { targetFmr: number; idleTtlMs: number | null },
): ModelStatus {
  const { name } = storedCard;
  const isLoaded = loaded.models.has(name);
  const card = loaded.models.get(name)?.card ?? storedCard;
  const loads = isLoaded ? pool.loadedIn(name) : [];
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  return {
    name,
    title: card.title,
    task: card.task,
    family: card.family,
    state: isLoaded ? 'loaded' : path == null ? 'absent' : 'available',
    isDefault: isDefault(loaded.selection, name),
    loads: pool.loadCount(name),
    loadMs: isLoaded ? Math.max(0, ...loads.map(({ loadMs }) => loadMs)) : null,
    memoryBytes: isLoaded ? sum(loads.map(({ memoryBytes }) => memoryBytes)) : null,
    sharedBytes: isLoaded ? Math.max(0, ...loads.map(({ sharedBytes }) => sharedBytes)) : null,
    ...pool.runsOf(name),
    idleTtlMs,
    sha256: card.sha256 ?? null,
    license: card.license,
    trainingData: card.trainingData ?? null,
    source: card.source,
    ...(card.task === 'embed' && card.sha256 != null ? { embedder: embedderInfo(card, targetFmr) } : {}),
    ...(isLoaded && ATTRIBUTES_OF_TASK[card.task] != null ? { attributes: loaded.attributesOf(name) } : {}),
  };
}

/** Facts of an embedder that a comparison of its embeddings needs. */
export function embedderInfo(card: ModelCard, targetFmr: number, align = true): EmbedderInfo {
  const embedding = card.embedding as CardEmbedding;
  return {
    name: card.name,
    dimensions: embedding.dimensions,
    contract: embeddingContract(card, align),
    maxDistances: defaultDistances(embedding, targetFmr),
    calibration: embedding.calibration ?? null,
  };
}
