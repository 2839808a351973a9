import type { ModelCard } from '../models/model-card';
import type { TensorSession } from './tensor-session';

/** A loaded model. */
export interface PipelineModel {
  card: ModelCard;
  session: TensorSession;
}
