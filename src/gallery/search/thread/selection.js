/** @typedef {import('./scan-protocol').ScanHit} ScanHit */

const SMALLEST_CAPACITY = 16;

/**
 * Selects the most similar subjects, each with its most similar row: `limit` subjects and those tied with the last one.
 *
 * Collects rows before it sorts them, so that a row costs little, and raises the threshold that further rows must reach.
 */
class Selection {
  /** @param {Omit<import('./scan-protocol').ScanQuery, 'probe'>} query */
  constructor({ limit, minSimilarity, subjects }) {
    this.limit = limit;
    this.subjects = subjects;
    /** Minimum similarity of further hits. */
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
    if (this.subjects != null && ((this.subjects[subject >>> 5] >>> (subject & 31)) & 1) === 0) return;
    this.hits.push({ row, subject, similarity });
    if (this.hits.length >= this.capacity) this.compact();
  }

  /** @returns the hits, most similar first, ties by subject; among equally similar rows of one subject, the first. */
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
    // With many ties, sorting again for every further row would be quadratic.
    this.capacity = Math.max(this.capacity, 2 * kept.length);
  }
}

module.exports = { Selection };
