import type { ModelCard } from '../models/model-card';
import type { TensorSession } from './tensor-session';

/** A model that is loaded. */
export interface PipelineModel {
  card: ModelCard;
  session: TensorSession;
}
