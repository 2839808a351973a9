import { MAX_METADATA_KEYS, metadataProblem } from '../../gallery/gallery-rules';

/** Maximum number of values per key of a filter. */
export const MAX_FILTER_VALUES = 100;

/** The problem of a metadata filter, as the end of a sentence; `null` if it is valid. */
export function filterProblem(filter: unknown): string | null {
  if (typeof filter !== 'object' || filter == null || Array.isArray(filter)) {
    return 'must be an object, or JSON of one';
  }
  const entries = Object.entries(filter as Record<string, unknown>);
  if (entries.length > MAX_METADATA_KEYS) return `must have at most ${MAX_METADATA_KEYS} keys`;
  for (const [key, wanted] of entries) {
    const values: unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    if (values.length === 0 || values.length > MAX_FILTER_VALUES) {
      return `must have 1 to ${MAX_FILTER_VALUES} values for a key`;
    }
    // A value that metadata cannot have would never match.
    const problem = values.map((value) => metadataProblem({ [key]: value })).find((found) => found != null);
    if (problem != null) return problem;
  }
  return null;
}
