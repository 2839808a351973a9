import type { Metric } from '../../pipeline/face.types';
import type { Action, NamedDetector, NamedEmbedder } from './model-names';

/*
 * Response headers about models: the bodies keep the format of DeepFace.
 */

/** Response header: fields of the request that something else answered, with what was requested and what was used. */
export const SUBSTITUTE_HEADER = 'x-likeness-substitute';
/** Response header: actions of /analyze that have no loaded model and are therefore left out. */
export const OMITTED_HEADER = 'x-likeness-omitted';
/** Response header of /represent: card of the embedder, which DeepFace's body does not name. */
export const MODEL_HEADER = 'x-likeness-model';

/** What a request asked for, and what worked. */
interface Used {
  detector: NamedDetector;
  embedder?: NamedEmbedder;
  metric?: { requested: Metric; used: Metric };
  omitted?: readonly Action[];
}

/**
 * The headers of a response, by name: {@link SUBSTITUTE_HEADER} and {@link OMITTED_HEADER}, if anything was substituted or
 * left out. Both are lists of RFC 9651 (Structured Field Values), for example
 * `model_name;requested="VGG-Face";used="mobilefacenet-512"`.
 */
export function substituteHeaders({
  detector,
  embedder,
  metric,
  omitted = [],
}: Used): Record<string, string> {
  const substitutes = [
    ...(embedder?.substitutes != null ? [item('model_name', embedder.substitutes, embedder.name)] : []),
    ...(detector.substitutes != null ? [item('detector_backend', detector.substitutes, detector.name)] : []),
    ...(metric != null && metric.requested !== metric.used
      ? [item('distance_metric', metric.requested, metric.used)]
      : []),
  ];
  return {
    ...(substitutes.length > 0 ? { [SUBSTITUTE_HEADER]: substitutes.join(', ') } : {}),
    ...(omitted.length > 0 ? { [OMITTED_HEADER]: omitted.join(', ') } : {}),
  };
}

/** Both values are names of DeepFace or of cards, which need no escapes. */
function item(field: string, requested: string, used: string): string {
  return `${field};requested="${requested}";used="${used}"`;
}
