import type { Table } from '@lancedb/lancedb';
import type { Hit, SearchOptions } from '../gallery.types';
import { filterSql, type FaceRow } from './lance-rows';

/** How many rows are asked for at first, per subject that is wanted: few have more references than that near the probe. */
const ROWS_PER_SUBJECT = 4;
const MIN_ROWS = 64;
/** What follows is asked for where these were too few. */
const WIDENING = 8;

type NearRow = Pick<FaceRow, 'subjectId' | 'position'> & { referenceId: string; _distance: number };

/**
 * The most similar subjects by their best reference. LanceDB gives rows, not subjects; so more rows are asked for until enough
 * subjects are among them and none that is as similar as the last of them can be missing.
 *
 * Exact: every vector is looked at, since the table has no index. Rows of subjects have no vector and are left out.
 */
export async function searchFaces(
  faces: Table,
  probe: Float32Array,
  { limit, minSimilarity = -1, filter }: SearchOptions,
): Promise<Hit[]> {
  const where = filterSql(filter);
  for (let rowCount = Math.max(MIN_ROWS, limit * ROWS_PER_SUBJECT); ; rowCount *= WIDENING) {
    const query = faces
      .vectorSearch(probe)
      .distanceType('dot')
      .select(['subjectId', 'referenceId', 'position', '_distance'])
      .limit(rowCount);
    if (where != null) query.where(where);
    const rows = (await query.toArray()) as NearRow[];
    const hits = bestOfSubjects(rows);
    const isEnd = rows.length < rowCount;
    const last = isEnd ? -Infinity : Math.min(...rows.map(similarityOf));
    // Below `last`, rows may be missing; at it too, where several are equally similar.
    const isFilled = hits.length >= limit && hits[limit - 1].similarity > last;
    if (isEnd || isFilled || last < minSimilarity) {
      return hits.filter((hit) => hit.similarity >= minSimilarity).slice(0, limit);
    }
  }
}

/** The distance is 1 minus the dot product, which of unit vectors is the cosine. */
const similarityOf = ({ _distance }: NearRow): number => Math.min(1, Math.max(-1, 1 - _distance));

/** Most similar first; equally similar ones by their subject ids. */
function bestOfSubjects(rows: readonly NearRow[]): Hit[] {
  const best = new Map<string, Hit & { position: number }>();
  for (const row of rows) {
    const { subjectId, referenceId, position } = row;
    const similarity = similarityOf(row);
    const known = best.get(subjectId);
    const isBetter =
      known == null ||
      similarity > known.similarity ||
      (similarity === known.similarity && position < known.position);
    if (isBetter) best.set(subjectId, { subjectId, referenceId, similarity, position });
  }
  return [...best.values()]
    .sort((a, b) => b.similarity - a.similarity || (a.subjectId < b.subjectId ? -1 : 1))
    .map(({ subjectId, referenceId, similarity }) => ({ subjectId, referenceId, similarity }));
}
