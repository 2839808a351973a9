import type { VectorScanner } from './vector-scanner';

/** How vectors are scanned; answers are the same. `int8` reads a quarter of the memory, for a quarter more of it. */
export const VECTOR_PRECISIONS = ['float32', 'int8'] as const;
export type VectorPrecision = (typeof VECTOR_PRECISIONS)[number];

/** The most similar row of a subject. */
export interface IndexHit {
  row: number;
  subject: number;
  /** Cosine, [-1, 1], to single precision. */
  similarity: number;
}

export interface VectorIndexOptions {
  dimensions: number;
  precision: VectorPrecision;
  scanner: VectorScanner;
}

export interface IndexSearchOptions {
  /** Most subjects in the answer, 1 or more. Subjects as similar as the last one come on top of it. */
  limit: number;
  /** Inclusive. @defaultValue all */
  minSimilarity?: number;
  /** By subject number: 1 may answer. Subjects past its end may not. @defaultValue all may */
  subjects?: Uint8Array;
}

/** Exact search over unit vectors. */
export class VectorIndex {
  private readonly rows: ({ embedding: Float32Array; subject: number } | undefined)[] = [];
  private readonly free: number[] = [];

  constructor(private readonly options: VectorIndexOptions) {}

  /** Rows that hold a vector. */
  get count(): number {
    return this.rows.length - this.free.length;
  }

  /** Memory that the index takes. */
  get bytes(): number {
    return this.rows.length * this.options.dimensions * 4;
  }

  /** Makes room for so many rows in all, ahead of a restore. */
  reserve(_rows: number): void {}

  /**
   * @param embedding - Float32Array [D], unit length. Copied.
   * @param subject - small whole number that the caller chooses, dense.
   * @returns the row.
   */
  add(embedding: Float32Array, subject: number): number {
    const row = this.free.pop() ?? this.rows.length;
    this.rows[row] = { embedding: embedding.slice(), subject };
    return row;
  }

  remove(row: number): void {
    this.rows[row]!.embedding.fill(0);
    this.rows[row] = undefined;
    this.free.push(row);
  }

  setSubject(row: number, subject: number): void {
    this.rows[row]!.subject = subject;
  }

  /** A copy. */
  get(row: number): Float32Array {
    return this.rows[row]!.embedding.slice();
  }

  /** For each probe the best row of each subject, most similar first, ties by subject number. */
  search(probes: readonly Float32Array[], options: IndexSearchOptions): Promise<IndexHit[][]> {
    const { limit, minSimilarity = -Infinity, subjects } = options;
    return Promise.resolve(
      probes.map((probe) => {
        const best = new Map<number, IndexHit>();
        this.rows.forEach((entry, row) => {
          if (entry == null || (subjects && subjects[entry.subject] !== 1)) return;
          const sum = probe.reduce((total, value, i) => total + value * entry.embedding[i], 0);
          const similarity = Math.max(-1, Math.min(1, Math.fround(sum)));
          const { subject } = entry;
          if (similarity < minSimilarity || similarity <= (best.get(subject)?.similarity ?? -Infinity))
            return;
          best.set(subject, { row, subject, similarity });
        });
        const hits = [...best.values()].sort((a, b) => b.similarity - a.similarity || a.subject - b.subject);
        return hits.filter((hit, i) => i < limit || hit.similarity === hits[limit - 1].similarity);
      }),
    );
  }

  close(): Promise<void> {
    this.rows.length = 0;
    return Promise.resolve();
  }
}
