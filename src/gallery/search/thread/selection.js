/** @typedef {import('./scan-protocol').ScanHit} ScanHit */

const SMALLEST_CAPACITY = 16;

/**
 * Keeps the most similar row of each of the most similar subjects of all that it is given: `limit` subjects and those as
 * similar as the last of them.
 *
 * Collects before it sorts, so that a row costs little, and raises the threshold that further rows have to reach.
 */
class Selection {
  /** @param {Omit<import('./scan-protocol').ScanQuery, 'probe'>} query */
  constructor({ limit, minSimilarity, subjects }) {
    this.limit = limit;
    this.subjects = subjects;
    /** Rows below it cannot be among the hits. */
    this.threshold = minSimilarity;
    /** @type {ScanHit[]} */
    this.hits = [];
    this.capacity = Math.max(SMALLEST_CAPACITY, 2 * limit);
  }

  /**
   * @param {number} row
   * @param {number} subject
   * @param {number} similarity
   */
  add(row, subject, similarity) {
    if (similarity < this.threshold) return;
    if (this.subjects != null && this.subjects[subject] !== 1) return;
    this.hits.push({ row, subject, similarity });
    if (this.hits.length >= this.capacity) this.compact();
  }

  /** The hits, most similar first, then by subject; of rows of a subject as similar, the first. */
  finish() {
    this.compact();
    return this.hits;
  }

  compact() {
    const { hits, limit } = this;
    hits.sort((a, b) => b.similarity - a.similarity || a.subject - b.subject || a.row - b.row);
    const seen = new Set();
    /** @type {ScanHit[]} */
    const kept = [];
    for (const hit of hits) {
      if (kept.length >= limit && hit.similarity < kept[limit - 1].similarity) break;
      if (seen.has(hit.subject)) continue;
      seen.add(hit.subject);
      kept.push(hit);
    }
    this.hits = kept;
    if (kept.length >= limit) this.threshold = kept[limit - 1].similarity;
    // Many as similar as the last one: sorting them again for each that comes would be quadratic.
    this.capacity = Math.max(this.capacity, 2 * kept.length);
  }
}

module.exports = { Selection };
